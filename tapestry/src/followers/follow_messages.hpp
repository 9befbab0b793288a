// The messages of followers as values. Bytes: proto/followers.proto; turned into these by codec_followers.hpp.
#pragma once

#include <cstdint>
#include <vector>

#include "announcing/rank.hpp"
#include "base/clock.hpp"
#include "base/transport.hpp"

namespace tapestry {

enum class FollowVerb : std::uint8_t {
    look = 1,
    attach = 2,
    digest = 3,
    push = 4,
    leave = 5,
};

constexpr std::size_t kMaxNewsBytes = 32U << 10U;  ///< of one body
constexpr std::uint32_t kMaxDepth = 64;            ///< of a tree, and ids in a path
constexpr std::size_t kMaxChildren = 64;

/// What a follower says of itself.
struct Standing {
    Rank rank;
    std::vector<base::NodeId> path;  ///< from its parent to its top
    base::Duration delay{};          ///< to its top, one way
    std::uint64_t sequence = 0;      ///< of its newest news; 0: none
    base::Guid hash;                 ///< of that
    base::Address parent;            ///< id zero: none
    friend bool operator==(const Standing&, const Standing&) = default;
};

/// The same with whom else to ask.
struct View {
    Standing standing;
    std::uint32_t room = 0;      ///< children that it would still take
    std::uint32_t yielding = 0;  ///< children of it that would give way to one with children of its own
    std::vector<base::Address> children;
    base::Duration age{};  ///< since it took its newest news
    friend bool operator==(const View&, const View&) = default;
};

struct Look {
    base::Guid object;
    Rank rank;
    std::uint64_t sequence = 0;
    bool want = false;  ///< news newer than that
    friend bool operator==(const Look&, const Look&) = default;
};

struct Attach {
    base::Guid object;
    Rank rank;
    std::uint64_t sequence = 0;
    std::uint32_t children = 0;
    friend bool operator==(const Attach&, const Attach&) = default;
};

enum class Verdict : std::uint8_t {
    welcome = 0,
    full = 1,        ///< its children are known from the view
    not_higher = 2,  ///< it does not rank higher than the asker; in the next round it may
    below = 3,       ///< it is below the asker, as far as it knows
    unplaced = 4,    ///< it looks for a place itself
    too_deep = 5,
    too_many = 6,  ///< the asker is below it for too many objects
};

struct AttachReply {
    Verdict verdict = Verdict::welcome;
    View view;
    friend bool operator==(const AttachReply&, const AttachReply&) = default;
};

struct Digest {
    base::Guid object;
    Standing standing;
    bool evicted = false;  ///< the place was given to one with children: find another
    friend bool operator==(const Digest&, const Digest&) = default;
};

struct Digested {
    bool yours = false;
    std::uint64_t sequence = 0;
    std::uint32_t children = 0;
    friend bool operator==(const Digested&, const Digested&) = default;
};

struct Push {
    base::Guid object;
    std::uint64_t sequence = 0;
    friend bool operator==(const Push&, const Push&) = default;
};

struct Pushed {
    bool taken = false;
    std::uint64_t sequence = 0;
    friend bool operator==(const Pushed&, const Pushed&) = default;
};

struct Leave {
    base::Guid object;
    Rank rank;
    base::Address to;  ///< id zero: nowhere
    friend bool operator==(const Leave&, const Leave&) = default;
};

}  // namespace tapestry
