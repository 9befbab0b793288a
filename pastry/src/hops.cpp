#include "hops.hpp"

#include <utility>

namespace pastry {

bool Hops::has_room_for(const Envelope& envelope) const {
    return held_.size() < max_messages_ && bytes_ + envelope.message.size() <= max_bytes_;
}

std::uint64_t Hops::hold(Envelope envelope, base::TimePoint now) {
    const auto id = next_id_++;
    Held& held = held_[id];
    held.bytes = envelope.message.size();
    bytes_ += held.bytes;
    held.envelope = std::move(envelope);
    held.accepted = now;
    held.deadline = now;
    deadlines_.emplace(now, id);
    return id;
}

Held* Hops::find(std::uint64_t hop_id) {
    const auto found = held_.find(hop_id);
    return found == held_.end() ? nullptr : &found->second;
}

void Hops::set_deadline(std::uint64_t hop_id, base::TimePoint deadline) {
    Held* held = find(hop_id);
    if (held == nullptr) return;
    deadlines_.erase({held->deadline, hop_id});
    held->deadline = deadline;
    deadlines_.emplace(deadline, hop_id);
}

void Hops::drop(std::uint64_t hop_id) {
    const auto found = held_.find(hop_id);
    if (found == held_.end()) return;
    bytes_ -= found->second.bytes;
    deadlines_.erase({found->second.deadline, hop_id});
    held_.erase(found);
}

std::vector<std::uint64_t> Hops::overdue(base::TimePoint now) const {
    std::vector<std::uint64_t> out;
    for (const auto& [deadline, id] : deadlines_) {
        if (deadline > now) break;
        out.push_back(id);
    }
    return out;
}

std::vector<std::uint64_t> Hops::sent_to(const base::NodeId& node) const {
    std::vector<std::uint64_t> out;
    for (const auto& [id, held] : held_) {
        if (held.next && held.next->id() == node) out.push_back(id);
    }
    return out;
}

std::vector<std::uint64_t> Hops::waiting() const {
    std::vector<std::uint64_t> out;
    for (const auto& [id, held] : held_) {
        if (!held.next) out.push_back(id);
    }
    return out;
}

std::optional<base::TimePoint> Hops::next_deadline() const {
    if (deadlines_.empty()) return {};
    return deadlines_.begin()->first;
}

bool Seen::insert(const base::NodeId& origin, std::uint64_t message_id, std::uint32_t hops) {
    const Key key{.origin = origin, .message_id = message_id, .hops = hops};
    if (!known_.insert(key).second) return false;
    order_.push_back(key);
    if (order_.size() > limit_) {
        known_.erase(order_.front());
        order_.pop_front();
    }
    return true;
}

bool Seen::contains(const base::NodeId& origin, std::uint64_t message_id, std::uint32_t hops) const {
    return known_.contains(Key{.origin = origin, .message_id = message_id, .hops = hops});
}

}  // namespace pastry
