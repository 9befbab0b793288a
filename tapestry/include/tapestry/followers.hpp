// Followers of an object, and the tree by which news of it reaches them all.
//
// Whoever follows an object publishes it, finds the nearest others and is below one of them. News (for a volume: its
// heartbeat) goes along the edges of the tree, up and down, from whoever has it first. The tree is a hint: what is
// passed on or believed is what the verifier of the layer above accepts, and who doubts that it has the newest asks the
// register. Bytes and rules: docs/formats/tapestry.md#followers; why so: docs/decisions/followers.md. On the node's
// executor.
//
// Paper: Rhea et al., FAST 2003 (Pond), the dissemination tree of secondary replicas.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/env.hpp"
#include "tapestry/dolr.hpp"

namespace tapestry {

struct FollowersConfig {
    using Milliseconds = std::chrono::milliseconds;

    unsigned max_children = 16;  ///< of one object; at most 60
    std::size_t max_followed = 1024;
    std::size_t max_objects_per_peer = 256;  ///< for which one peer may be below us
    Milliseconds digest_period{5'000};       ///< a parent that misses two is lost
    Milliseconds compare_period{60'000};     ///< with a random other follower, whether we have the newest
    Milliseconds improve_first{10'000};  ///< after a place was found, a better one is looked for, then ever more seldom
    Milliseconds improve_most{320'000};
    Milliseconds call_timeout{3'000};
    Milliseconds look_timeout{1'500};  ///< who answers later is too far to attach below
    Milliseconds locate_timeout{8'000};
    unsigned forged_forgiven = 3;   ///< bodies that did not verify, before a peer is not listened to
    Milliseconds penalty{600'000};  ///< for so long
};

/// What followers pass on.
struct News {
    std::uint64_t sequence = 0;  ///< from 1; only higher ones replace it
    base::SharedBytes body;      ///< at most 32 KiB
};

/// For `node status`.
struct FollowersStatus {
    std::size_t followed = 0;
    std::size_t children = 0;
    std::uint64_t news_taken = 0;
    std::uint64_t news_sent = 0;  ///< bodies, to neighbours in trees
    std::uint64_t news_bytes_sent = 0;
    std::uint64_t news_known = 0;     ///< bodies that came although we had them
    std::uint64_t news_forged = 0;    ///< did not verify
    std::uint64_t parents_lost = 0;   ///< missed two digests, or did not answer
    std::uint64_t moves = 0;          ///< to a better parent
    std::uint64_t found_missing = 0;  ///< news that comparing brought and the tree had not
    std::uint64_t refused = 0;        ///< requests: malformed, no member, over a limit
};

class Followers {
  public:
    /// True for storage members of the network that are not revoked: only they attach below us and push, and nobody
    /// else is sent anything, whoever named him.
    using IsMember = std::function<bool(const base::NodeId&)>;
    /// The sequence of a body, or why it is no news of the object. Pure: called on Workers. Fits past::RecordVerifier.
    using Verifier = std::function<base::Result<std::uint64_t>(const base::Guid& object, base::ByteView body)>;
    /// Of an object: each newer one once, in order of sequence; some may be left out.
    using OnNews = std::function<void(const News& news)>;

    /// The doors and `dolr` outlive this. Serves Service::followers.
    Followers(base::NodeEnv env, Dolr& dolr, IsMember is_member, FollowersConfig config = {});
    ~Followers();
    Followers(const Followers&) = delete;
    Followers& operator=(const Followers&) = delete;
    /// Ends what this does of its own accord. Await it before destroying this while the executor runs, and then the end
    /// of its Transport: requests that are being answered, such as news being verified, are the Transport's, posts
    /// their callers'.
    base::Task<void> stop();

    /// Publishes the object and stays in its tree until unfollow(). Who handles the messages of `dolr` answers true for
    /// what is followed: else we would be taken for one that published what it does not have. Errors: exists (followed
    /// already), busy (max_followed).
    base::Result<void> follow(const base::Guid& object, Verifier verify, OnNews on_news);
    void unfollow(const base::Guid& object);

    /// Gives news to all followers; returns when it is on its way: at once if we follow the object, else when a
    /// follower has taken it (or had it or newer already), by the deadline in any case. Errors: bad_argument (too
    /// long), those of the verifier, those of Dolr::locate, and of the last follower asked.
    base::Task<base::Result<void>> post(base::Guid object, News news, base::TimePoint deadline);

    /// Nullopt: not followed, or nothing known. It may be old: a tree tells late or, if it is torn or lied to, not at
    /// all.
    [[nodiscard]] std::optional<News> newest(const base::Guid& object) const;

    /// Where we are in the tree of an object: for tests and `node status`.
    struct Place {
        std::optional<base::NodeId> parent;
        std::vector<base::NodeId> children;
        bool top = false;
        unsigned depth = 0;
        base::Duration delay{};  ///< to the top, estimated, one way
        std::uint64_t round = 0;
    };
    [[nodiscard]] std::optional<Place> place(const base::Guid& object) const;
    [[nodiscard]] FollowersStatus status() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace tapestry
