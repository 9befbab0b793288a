#include "store/tag_sets.hpp"

#include <algorithm>
#include <cassert>

namespace past::store {
namespace {

bool by_volume(const Tag& tag, const base::Guid& volume) { return tag.volume < volume; }

const Tag* find(const std::vector<Tag>& tags, const base::Guid& volume) {
    const auto at = std::lower_bound(tags.begin(), tags.end(), volume, by_volume);
    return at != tags.end() && at->volume == volume ? &*at : nullptr;
}

void raise(std::vector<Tag>& tags, const Tag& tag) {
    const auto at = std::lower_bound(tags.begin(), tags.end(), tag.volume, by_volume);
    if (at == tags.end() || at->volume != tag.volume) {
        tags.insert(at, tag);
    } else {
        at->generation = std::max(at->generation, tag.generation);
    }
}

}  // namespace

std::vector<Tag> as_set(const std::vector<Tag>& tags) {
    std::vector<Tag> set;
    for (const auto& tag : tags) raise(set, tag);
    return set;
}

bool TagSets::Less::operator()(const std::vector<Tag>* a, const std::vector<Tag>* b) const {
    return std::lexicographical_compare(a->begin(), a->end(), b->begin(), b->end(), [](const Tag& x, const Tag& y) {
        return std::tie(x.volume, x.generation) < std::tie(y.volume, y.generation);
    });
}

TagSets::TagSets() { sets_.emplace_back(); }

std::size_t TagSets::memory_bytes() const {
    constexpr std::size_t node_bytes = 64;  // of names_
    return free_.capacity() * sizeof(Ref) + sets_.size() * (sizeof(Set) + node_bytes) + tags_ * sizeof(Tag);
}

TagSets::Ref TagSets::intern(std::vector<Tag> tags) {
    if (tags.empty()) return kEmpty;
    if (const auto known = names_.find(&tags); known != names_.end()) return share(known->second);
    Ref set = 0;
    if (free_.empty()) {
        set = static_cast<Ref>(sets_.size());
        assert(set <= kMax);
        sets_.emplace_back();
    } else {
        set = free_.back();
        free_.pop_back();
    }
    tags.shrink_to_fit();
    tags_ += tags.size();
    sets_[set] = Set{std::move(tags), 1};
    names_.emplace(&sets_[set].tags, set);
    return set;
}

TagSets::Ref TagSets::share(Ref set) {
    if (set != kEmpty) ++sets_[set].users;
    return set;
}

void TagSets::release(Ref set) {
    if (set == kEmpty) return;
    assert(sets_[set].users > 0);
    if (--sets_[set].users > 0) return;
    names_.erase(&sets_[set].tags);
    tags_ -= sets_[set].tags.size();
    sets_[set] = Set{};
    free_.push_back(set);
}

bool TagSets::has_room(Ref set, std::span<const Tag> tags) const {
    const auto& had = sets_[set].tags;
    const auto fresh = static_cast<std::size_t>(
        std::ranges::count_if(tags, [&](const Tag& tag) { return find(had, tag.volume) == nullptr; }));
    return fresh == 0 || had.size() + fresh <= kMaxTagsPerBlock;
}

bool TagSets::would_change(Ref set, const Tag& tag) const {
    const auto* had = find(sets_[set].tags, tag.volume);
    return had == nullptr || had->generation < tag.generation;
}

bool TagSets::would_drop(Ref set, const Tag& tag) const {
    const auto* had = find(sets_[set].tags, tag.volume);
    return had != nullptr && had->generation <= tag.generation;
}

TagSets::Ref TagSets::with(Ref set, const Tag& tag) {
    if (!would_change(set, tag)) return set;
    auto tags = sets_[set].tags;
    raise(tags, tag);
    const auto next = intern(std::move(tags));
    release(set);
    return next;
}

TagSets::Ref TagSets::without(Ref set, const Tag& tag) {
    if (!would_drop(set, tag)) return set;
    auto tags = sets_[set].tags;
    std::erase_if(tags, [&](const Tag& had) { return had.volume == tag.volume; });
    const auto next = intern(std::move(tags));
    release(set);
    return next;
}

TagSets::Ref TagSets::join(Ref a, Ref b) {
    auto tags = sets_[a].tags;
    for (const auto& tag : sets_[b].tags) raise(tags, tag);
    return intern(std::move(tags));
}

}  // namespace past::store
