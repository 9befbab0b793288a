// Sets of tags, each kept once however many blocks carry it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <span>
#include <vector>

#include "past/block_store.hpp"

namespace past::store {

/// Ascending by volume, each once at its greatest generation.
[[nodiscard]] std::vector<Tag> as_set(const std::vector<Tag>& tags);

/// At most one tag a volume in a set, ascending by volume. Sets are named by small numbers, counted, and forgotten with
/// their last user.
class TagSets {
  public:
    using Ref = std::uint32_t;
    static constexpr Ref kEmpty = 0;              ///< no tags; not counted
    static constexpr Ref kMax = (1U << 25U) - 1;  ///< what an index entry has bits for

    TagSets();
    [[nodiscard]] const std::vector<Tag>& tags(Ref set) const { return sets_[set].tags; }
    [[nodiscard]] std::size_t size() const { return sets_.size() - free_.size(); }
    [[nodiscard]] std::size_t memory_bytes() const;

    /// The set as a counted reference: one more user.
    Ref intern(std::vector<Tag> tags);
    Ref share(Ref set);
    void release(Ref set);
    /// `set` with this tag at the greater of both generations; takes over the caller's reference, gives a new one.
    Ref with(Ref set, const Tag& tag);
    /// `set` without the volume's tag as far as its generation is <= tag.generation; likewise.
    Ref without(Ref set, const Tag& tag);
    /// Of both, each volume at its greater generation; a new reference, neither is released.
    Ref join(Ref a, Ref b);
    /// with() gives no set of more than kMaxTagsPerBlock. What is on disk from before there was a limit may have more.
    [[nodiscard]] bool has_room(Ref set, std::span<const Tag> tags) const;
    [[nodiscard]] bool has_room(Ref set, const Tag& tag) const { return has_room(set, std::span{&tag, 1}); }
    [[nodiscard]] bool would_change(Ref set, const Tag& tag) const;  ///< with() gives another set
    [[nodiscard]] bool would_drop(Ref set, const Tag& tag) const;    ///< without() does

  private:
    struct Set {
        std::vector<Tag> tags;
        std::uint64_t users = 0;
    };
    struct Less {
        bool operator()(const std::vector<Tag>* a, const std::vector<Tag>* b) const;
    };
    std::size_t tags_ = 0;  // in all sets
    std::deque<Set> sets_;  // addresses stay, names_ points into it
    std::vector<Ref> free_;
    std::map<const std::vector<Tag>*, Ref, Less> names_;
};

}  // namespace past::store
