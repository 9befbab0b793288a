#include "event_queue.hpp"

#include <algorithm>
#include <cassert>

namespace base::sim {

std::uint64_t EventQueue::add(TimePoint when, ScheduledEvent event) {
    std::uint32_t slot = 0;
    if (free_.empty()) {
        slot = static_cast<std::uint32_t>(slots_.size());
        assert(slot < (1U << kSlotBits));
        slots_.emplace_back();
    } else {
        slot = free_.back();
        free_.pop_back();
    }
    slots_[slot].sequence = ++sequence_;
    slots_[slot].event = std::move(event);
    heap_.push_back({when, sequence_, slot});
    std::push_heap(heap_.begin(), heap_.end());
    return (sequence_ << kSlotBits) | slot;
}

bool EventQueue::cancel(std::uint64_t id) {
    const auto slot = static_cast<std::uint32_t>(id & ((1U << kSlotBits) - 1U));
    if (slot >= slots_.size() || slots_[slot].sequence != id >> kSlotBits || id == 0) return false;
    const auto keep_until_swept = std::move(slots_[slot].event);  // its destructor may come back here
    free(slot);
    ++dead_;
    if (dead_ > 64 && dead_ > heap_.size() / 2) sweep();
    return true;
}

void EventQueue::free(std::uint32_t slot) {
    slots_[slot].sequence = 0;
    slots_[slot].event = {};
    free_.push_back(slot);
}

void EventQueue::sweep() {
    std::erase_if(heap_, [this](const Entry& entry) { return dead(entry); });
    std::make_heap(heap_.begin(), heap_.end());
    dead_ = 0;
}

void EventQueue::drop(const Incarnation* owner) {
    std::vector<ScheduledEvent> dropped;
    for (std::uint32_t slot = 0; slot < slots_.size(); ++slot) {
        if (slots_[slot].sequence == 0 || slots_[slot].event.owner != owner) continue;
        dropped.push_back(std::move(slots_[slot].event));
        free(slot);
    }
    sweep();
}

std::optional<TimePoint> EventQueue::next() {
    while (!heap_.empty() && dead(heap_.front())) {
        std::pop_heap(heap_.begin(), heap_.end());
        heap_.pop_back();
        --dead_;
    }
    if (heap_.empty()) return std::nullopt;
    return heap_.front().when;
}

ScheduledEvent EventQueue::take() {
    const std::uint32_t slot = heap_.front().slot;
    std::pop_heap(heap_.begin(), heap_.end());
    heap_.pop_back();
    auto event = std::move(slots_[slot].event);
    free(slot);
    return event;
}

}  // namespace base::sim
