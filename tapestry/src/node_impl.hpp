// The acting half of a Node: a PointerTable and the set of our own objects, carried out over the doors.
//
// Told in four files: node.cpp (wiring, the face), publishing.cpp (announcements on their way), finding.cpp (questions
// and messages on theirs), other_holders.cpp (a holder asks who else is one).
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "messages.hpp"
#include "pointer_table.hpp"
#include "tapestry/error.hpp"
#include "tapestry/node.hpp"

namespace tapestry {

[[nodiscard]] inline bool contains(const std::vector<base::NodeId>& nodes, const base::NodeId& node) {
    return std::ranges::find(nodes, node) != nodes.end();
}

class Node::Impl final : public pastry::Application {
  public:
    Impl(base::NodeEnv env, pastry::Kbr& kbr, Identity identity, IsMember is_member, Config config);
    ~Impl() override;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void start(bool first);
    base::Task<void> stop();

    // publishing.cpp
    void publish(const std::vector<base::Guid>& objects);
    void unpublish(const std::vector<base::Guid>& objects);

    // finding.cpp
    base::Task<base::Result<Located>> locate(base::Guid object, base::TimePoint deadline, bool trace);
    base::Task<base::Result<unsigned>> send(base::Guid object, base::SharedBytes message, unsigned replicas,
                                            base::TimePoint deadline);

    // other_holders.cpp
    base::Task<base::Result<std::vector<Location>>> other_holders(base::Guid object, std::vector<base::NodeId> known,
                                                                  base::TimePoint deadline);

    void on_message(OnMessage handler) { on_message_ = std::move(handler); }
    [[nodiscard]] Status status() const;
    [[nodiscard]] std::vector<base::NodeId> pointers_to(const base::Guid& object) const;

    void deliver(const base::Guid& key, const pastry::NodeHandle& origin, base::Message message,
                 unsigned hops) override;
    bool forward(const base::Guid& key, base::Message& message, const pastry::NodeHandle& next) override;
    void update(const pastry::NodeHandle& node, bool joined) override;

  private:
    /// What an asker waits for.
    struct Question {
        explicit Question(base::Executor executor) : changed{std::move(executor)} {}
        base::Event changed;
        std::vector<Place> places;
        std::vector<base::Address> way;
        unsigned reached = 0;
        bool last = false;
        bool certain = false;
    };
    using Nodes = std::vector<base::NodeId>;

    // node.cpp
    base::Task<base::Result<base::Message>> on_request(base::Peer from, base::Message message);
    void on_notice(const base::Peer& from, const base::Message& message);
    [[nodiscard]] base::TimePoint now() const { return env_.clock.now(); }
    [[nodiscard]] const base::Address& self() const { return kbr_.self().address; }
    base::Task<base::Result<base::Message>> call(base::Address to, base::Message message);

    // publishing.cpp
    base::Task<void> announce_forever();
    base::Task<void> announce(std::vector<base::Guid> objects, std::chrono::seconds lease);
    [[nodiscard]] std::size_t prefix_digits() const;
    [[nodiscard]] base::NodeId first_hop(const base::Guid& key) const;
    void pass_on(const std::vector<Parcel>& parcels, const Nodes& avoid = {});
    base::Task<void> send_parcels(pastry::NodeHandle to, std::vector<Parcel> parcels, Nodes avoid);
    base::Task<base::Result<base::Message>> on_publish(base::Message message);
    [[nodiscard]] std::vector<std::vector<pastry::NextHop>> ways(const Parcel& parcel, const Nodes& avoid) const;
    void send_all(const pastry::NodeHandle& to, std::vector<Parcel> parcels, const Nodes& avoid = {});
    base::Task<void> move_pointers();
    base::Task<base::Result<base::Message>> on_hand_over(base::NodeId newcomer);
    base::Task<void> take_over();

    // finding.cpp
    bool meet(Find& find, const base::SharedBytes& payload);
    base::Task<void> hand_out(Find find, base::SharedBytes payload, std::vector<Pointer> pointers);
    base::Task<bool> hand_to(Find find, base::SharedBytes payload, base::Address holder);
    base::Task<base::Result<base::Message>> on_deliver(base::Message message);
    void on_found(const base::Message& message);
    void tell(const base::Address& asker, const Found& found);
    base::Task<std::shared_ptr<Question>> ask(Find find, base::SharedBytes payload, base::TimePoint deadline);

    base::NodeEnv env_;
    pastry::Kbr& kbr_;
    Identity identity_;
    IsMember is_member_;
    const Config config_;
    PointerTable table_;
    Status counters_;
    OnMessage on_message_;

    std::set<base::Guid> own_;
    std::set<base::Guid> fresh_;      // to be announced
    std::set<base::Guid> withdrawn_;  // to be taken back
    std::uint64_t last_stamp_ = 0;
    std::shared_ptr<base::Event> news_;  // shared with the timer, which may outlive the one who waits
    bool settled_ = false;               // we have the pointers of the keys that we are root of
    bool moving_ = false;                // move_pointers() will look at these
    std::set<base::NodeId> joined_;
    bool left_ = false;

    std::map<std::uint64_t, std::shared_ptr<Question>> questions_;
    base::TaskGroup tasks_;  // last: ends first
};

}  // namespace tapestry
