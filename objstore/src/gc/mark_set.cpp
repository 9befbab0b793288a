#include "gc/mark_set.hpp"

#include <algorithm>
#include <utility>

namespace objstore::gc {

std::uint64_t MarkSet::key_of(const base::Guid& id) {
    std::uint64_t key = 0;
    // From the end: the first bits of an id say which group it has, so those of a walk may agree.
    for (std::size_t i = base::Guid::kBytes - 8; i < base::Guid::kBytes; ++i) key = key << 8U | id.bytes()[i];
    return std::max<std::uint64_t>(key, 1);
}

std::size_t MarkSet::slot_of(std::uint64_t key) const {
    const auto mask = slots_.size() - 1;
    auto slot = static_cast<std::size_t>(key) & mask;
    while (slots_[slot] != 0 && slots_[slot] != key) slot = (slot + 1) & mask;
    return slot;
}

bool MarkSet::insert(const base::Guid& id) {
    if (full()) return false;
    if (8 * (size_ + 1) > 7 * slots_.size()) grow();
    const auto key = key_of(id);
    auto& slot = slots_[slot_of(key)];
    if (slot == key) return false;
    slot = key;
    ++size_;
    return true;
}

bool MarkSet::contains(const base::Guid& id) const { return size_ > 0 && slots_[slot_of(key_of(id))] != 0; }

void MarkSet::grow() {
    const auto old = std::exchange(slots_, std::vector<std::uint64_t>(std::max<std::size_t>(64, 2 * slots_.size())));
    for (const auto key : old) {
        if (key != 0) slots_[slot_of(key)] = key;
    }
}

}  // namespace objstore::gc
