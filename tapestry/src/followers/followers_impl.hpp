// The acting half of Followers: a FollowTree for each object, carried out over the doors.
//
// Told in five files: followers.cpp (the face, what others ask), followers_place.cpp (finding and keeping a place),
// followers_search.cpp (looking around for one), followers_digests.cpp (from parents to children), followers_news.cpp
// (what all this is for).
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "followers/follow_tree.hpp"
#include "tapestry/followers.hpp"

namespace tapestry {

class Followers::Impl {
  public:
    Impl(base::NodeEnv env, Dolr& dolr, IsMember is_member, FollowersConfig config);
    ~Impl();
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    base::Task<void> stop();
    base::Result<void> follow(const base::Guid& object, Verifier verify, OnNews on_news);
    void unfollow(const base::Guid& object);
    base::Task<base::Result<void>> post(base::Guid object, News news, base::TimePoint deadline);
    [[nodiscard]] std::optional<News> newest(const base::Guid& object) const;
    [[nodiscard]] std::optional<Place> place(const base::Guid& object) const;
    [[nodiscard]] FollowersStatus status() const;

  private:
    /// An object that we follow. Shared with the tasks that work on it, which may outlast unfollow(): `gone` then.
    struct Followed {
        Followed(const base::Guid& object_in, FollowTree tree_in, base::Executor executor)
            : object{object_in},
              tree{std::move(tree_in)},
              place_wake{std::make_shared<base::Event>(executor)},
              digest_wake{std::make_shared<base::Event>(executor)} {}

        base::Guid object;
        Verifier verify;
        OnNews on_news;
        bool gone = false;

        FollowTree tree;
        std::shared_ptr<base::Event> place_wake;  // shared with timers
        std::shared_ptr<base::Event> digest_wake;
        bool seek = false;  // there may be a better tree
        base::TimePoint sought_at{};
        base::Duration seek_after{};
        base::TimePoint look_at{};  // for a place, or as a top for other trees
        base::Duration look_after{};
        bool better_orphan = false;  // somebody without a place, too, should rather become the top
        base::TimePoint improve_at{};
        bool evicted = false;  // any other place is better than this
        base::Duration improve_after{};
        base::TimePoint compare_at{};
        std::vector<base::Address> hints;                 // to ask first
        std::vector<base::Address> known;                 // other followers, a random few
        std::map<base::NodeId, base::TimePoint> avoided;  // until then; they kept news back
        std::map<base::NodeId, bool> digesting;           // a digest is under way; true: and another is due

        News newest;
        base::Guid hash;
        base::TimePoint taken_at{};
        std::set<base::NodeId> pushing;                           // a push is under way
        std::set<std::pair<base::Guid, std::uint64_t>> checking;  // bodies being verified: hash, sequence as said
        unsigned withheld = 0;                                    // by our parent, as far as we can tell
    };
    using FollowedPtr = std::shared_ptr<Followed>;
    struct Seen {
        base::Address address;
        View view;
        base::Duration rtt{};
    };
    struct Distrust {
        unsigned forged = 0;
        base::TimePoint until{};
    };

    // followers.cpp
    [[nodiscard]] base::TimePoint now() const { return env_.clock.now(); }
    [[nodiscard]] const base::NodeId& self() const { return env_.transport.self().id; }
    /// Members only, whoever named them.
    base::Task<base::Result<base::Message>> call(base::Address to, base::Message message, base::Duration timeout);
    [[nodiscard]] FollowedPtr find(const base::Guid& object) const;
    base::Task<base::Result<base::Message>> on_request(base::Peer from, base::Message message);
    base::Task<base::Result<base::Message>> answer(base::Address from, base::Message message);
    base::Result<base::Message> on_look(const base::Address& from, const base::Message& message);
    base::Result<base::Message> on_attach(const base::Address& from, const base::Message& message);
    void on_notice(const base::Peer& from, const base::Message& message);
    [[nodiscard]] Verdict judge(Followed& followed, const base::Address& from, const Attach& request) const;
    [[nodiscard]] Standing standing(const Followed& followed) const;
    [[nodiscard]] View view(const Followed& followed) const;
    [[nodiscard]] static base::SharedBytes newer(const Followed& followed, std::uint64_t than);
    void tell_left(const Followed& followed, const base::Address& neighbour, const base::Address& to);

    // followers_place.cpp
    base::Task<void> keep_place(FollowedPtr followed);
    [[nodiscard]] base::TimePoint next_due(const Followed& followed) const;
    void lose_parent(Followed& followed);
    void evicted(Followed& followed);
    void heard_of_tree(Followed& followed, const Rank& rank, const base::Address& whom);
    void hint(Followed& followed, const base::Address& whom);
    void remember(Followed& followed, const base::Address& follower);
    base::Task<void> find_place(FollowedPtr followed);
    base::Task<bool> attach_near(FollowedPtr followed, std::vector<base::Address> begin);
    [[nodiscard]] bool may_become_top(const Followed& followed) const;
    void append_known(const Followed& followed, std::vector<base::Address>& to, std::size_t count);
    base::Task<void> improve(FollowedPtr followed);
    base::Task<bool> is_better_top(FollowedPtr followed, Seen parent);
    void take_the_top(Followed& followed);
    base::Task<bool> move(FollowedPtr followed, Seen to);
    base::Task<bool> next_round_begins(FollowedPtr followed);

    // followers_search.cpp
    base::Task<std::vector<base::Address>> some_others(FollowedPtr followed);
    base::Task<std::vector<Seen>> explore(FollowedPtr followed, std::vector<base::Address> begin, std::size_t most);
    [[nodiscard]] std::set<base::NodeId> not_to_look_at(const Followed& followed) const;
    base::Task<std::vector<Seen>> look_at_all(FollowedPtr followed, std::vector<base::Address> batch);
    base::Task<void> look_into(FollowedPtr followed, base::Address at, std::optional<Seen>* seen);
    base::Task<std::optional<Verdict>> attach(FollowedPtr followed, base::Address to, base::Duration rtt);
    [[nodiscard]] static double cost(const Seen& seen);
    [[nodiscard]] static bool has_room(const Followed& followed, const Seen& seen);

    // followers_digests.cpp
    base::Task<void> send_digests(FollowedPtr followed);
    [[nodiscard]] static std::vector<base::Address> children_of(const Followed& followed);
    base::Task<void> digest_to(FollowedPtr followed, base::Address child);
    bool take_answer(Followed& followed, const base::NodeId& child, const base::Result<base::Message>& answer,
                     base::Duration rtt);
    base::Result<base::Message> on_digest(const base::Address& from, const base::Message& message);

    // followers_news.cpp
    base::Task<base::Result<base::Message>> on_push(base::Address from, base::Message message);
    /// Whether it was news and is taken now. Errors: those of the verifier, and busy.
    base::Task<base::Result<bool>> receive(FollowedPtr followed, base::NodeId from, News news);
    base::Task<base::Result<std::uint64_t>> check(FollowedPtr followed, base::SharedBytes body);
    void spread(const FollowedPtr& followed, const base::NodeId& except);
    /// Sends what `neighbour` lacks, if anything, and goes on until it lacks nothing.
    void pump(const FollowedPtr& followed, const base::Address& neighbour);
    base::Task<void> push_until_known(FollowedPtr followed, base::Address neighbour);
    base::Task<base::Result<Pushed>> push(base::Address to, base::Guid object, News news, base::Duration timeout);
    /// Of our parent or a child; nullopt for anybody else.
    [[nodiscard]] static std::optional<std::uint64_t> sequence_at(Followed& followed, const base::NodeId& neighbour);
    static void neighbour_has(Followed& followed, const base::NodeId& neighbour, std::uint64_t sequence);
    base::Task<void> compare(FollowedPtr followed);
    base::Task<std::optional<base::Address>> somebody(FollowedPtr followed);
    void parent_kept_back(Followed& followed, const View& elsewhere);
    [[nodiscard]] bool distrusted(const base::NodeId& peer) const;
    void forged(const base::NodeId& peer);

    base::NodeEnv env_;
    Dolr& dolr_;
    IsMember is_member_;
    const FollowersConfig config_;
    FollowersStatus counters_;
    std::map<base::Guid, FollowedPtr> followed_;
    std::map<base::NodeId, Distrust> distrust_;  // bounded, the oldest first to go
    base::TaskGroup tasks_;                      // last: ends first
};

}  // namespace tapestry
