// The acting half of a Node: a PointerTable and the set of our own objects, carried out over the doors.
//
// Told in six files: node.cpp (wiring, the face); announcing.cpp (what we publish), passing.cpp (announcements on their
// way), moving.cpp (pointers when the ring changes); asking.cpp (our questions), finding.cpp (questions and messages on
// their way, and answers).
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <tuple>
#include <vector>

#include "base/error.hpp"
#include "base/task_group.hpp"
#include "messages.hpp"
#include "pointers/pointer_table.hpp"
#include "tapestry/error.hpp"
#include "tapestry/node.hpp"

namespace tapestry {

[[nodiscard]] inline bool contains(const std::vector<base::NodeId>& nodes, const base::NodeId& node) {
    return std::ranges::find(nodes, node) != nodes.end();
}

/// Parcels for one next hop; they leave together.
struct Bundle {
    pastry::NodeHandle to;
    std::vector<Parcel> parcels;
    std::size_t bytes = 0;
};
using Bundles = std::map<base::NodeId, Bundle>;

/// What was tried for parcels so far.
struct Effort {
    std::vector<base::NodeId> silent;
    unsigned rounds = 0;
    bool told = false;  ///< who was to be told besides
};

/// What happened on the ring since it was last looked at.
struct Change {
    std::set<base::NodeId> joined;
    std::set<base::NodeId> left;

    void note(const base::NodeId& node, bool has_joined) {
        (has_joined ? left : joined).erase(node);
        (has_joined ? joined : left).insert(node);
    }
    void add(const Change& later) {
        for (const auto& node : later.joined) note(node, true);
        for (const auto& node : later.left) note(node, false);
    }
    [[nodiscard]] bool empty() const { return joined.empty() && left.empty(); }
};

/// It is unknown whether the other side acted.
[[nodiscard]] inline bool is_silence(const base::Error& error) {
    return error == base::Errc::unreachable || error == base::Errc::timed_out;
}

class Node::Impl final : public pastry::Application {
  public:
    Impl(base::NodeEnv env, pastry::Kbr& kbr, Identity identity, IsMember is_member, Config config);
    ~Impl() override;
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void start(bool first);
    base::Task<void> stop();

    // announcing.cpp
    void publish(const std::vector<base::Guid>& objects);
    void unpublish(const std::vector<base::Guid>& objects);
    [[nodiscard]] Said said(const base::Guid& object) const;
    base::Task<std::vector<base::Guid>> published(std::vector<base::Guid> objects, base::TimePoint deadline);

    // asking.cpp
    base::Task<base::Result<Located>> locate(base::Guid object, base::TimePoint deadline, bool trace);
    base::Task<base::Result<Located>> locate_others(base::Guid object, std::vector<base::NodeId> failed,
                                                    base::TimePoint deadline, bool trace = false);
    base::Task<base::Result<unsigned>> send(base::Guid object, base::SharedBytes message, unsigned replicas,
                                            base::TimePoint deadline);

    base::Task<base::Result<std::vector<Location>>> other_holders(base::Guid object, std::vector<base::NodeId> known,
                                                                  base::TimePoint deadline);

    void on_message(OnMessage handler) { on_message_ = std::move(handler); }
    [[nodiscard]] Status status() const;
    [[nodiscard]] std::vector<base::NodeId> pointers_to(const base::Guid& object) const;
    [[nodiscard]] bool believes(const base::NodeId& publisher) const { return !table_.banned(now(), publisher); }

    void deliver(const base::Guid& key, const pastry::NodeHandle& origin, base::Message message,
                 unsigned hops) override;
    bool forward(const base::Guid& key, base::Message& message, const pastry::NodeHandle& next) override;
    void update(const pastry::NodeHandle& node, bool joined) override;

  private:
    using Nodes = std::vector<base::NodeId>;
    using Taken = std::tuple<base::NodeId, std::uint64_t, base::Guid>;  // asker, its message, object

    /// Objects whose publisher waits until their roots have them.
    struct Awaited {
        explicit Awaited(base::Executor executor) : changed{std::move(executor)} {}
        base::Event changed;
        std::map<base::Guid, unsigned> missing;  ///< roots by bit; none left: gone
    };
    /// An announcement of ours that somebody waits for.
    struct OnItsWay {
        Announcement announcement;
        std::weak_ptr<Awaited> awaited;
    };
    /// A question of ours: asked of several roots, and again by other ways; the first good answer ends it.
    struct Question;
    class Asking;
    class BeingTaken;

    // node.cpp
    base::Task<base::Result<base::Message>> on_request(base::Peer from, base::Message message);
    [[nodiscard]] base::TimePoint now() const { return env_.clock.now(); }
    [[nodiscard]] std::chrono::seconds lease() const { return std::chrono::ceil<std::chrono::seconds>(config_.lease); }
    [[nodiscard]] const base::Address& self() const { return kbr_.self().address; }
    base::Task<base::Result<base::Message>> call(base::Address to, base::Message message);
    void tell(const base::NodeId& who, base::Message message, unsigned round = 0);
    base::Task<void> tell_somebody(base::NodeId who, base::Message message, unsigned round);
    void told(const base::NodeId& by, const base::Message& message);

    // announcing.cpp
    base::Task<void> announce_forever();
    base::Task<void> announce(std::vector<base::Guid> objects, std::chrono::seconds lease,
                              std::shared_ptr<Awaited> awaited = {});
    [[nodiscard]] std::size_t group_end(const std::vector<base::Guid>& objects, std::size_t begin, unsigned root,
                                        std::size_t digits) const;
    [[nodiscard]] std::vector<base::Guid> still_so(std::span<const base::Guid> objects, bool published) const;
    base::Task<std::vector<base::Guid>> in_order(std::vector<base::Guid> objects, unsigned root);
    [[nodiscard]] std::vector<Parcel> next_group(const std::vector<base::Guid>& objects, std::size_t& begin,
                                                 unsigned root, std::size_t digits, std::chrono::seconds lease);
    [[nodiscard]] Announcement sign(unsigned root, std::chrono::seconds lease, std::span<const base::Guid> objects);
    [[nodiscard]] std::optional<Announcement> sign_as_before(unsigned root, std::chrono::seconds lease,
                                                             std::span<const base::Guid> objects);
    [[nodiscard]] Announcement sign_at(std::uint64_t stamp, unsigned root, std::chrono::seconds lease,
                                       std::span<const base::Guid> objects) const;
    [[nodiscard]] std::size_t prefix_digits() const;
    [[nodiscard]] base::NodeId first_hop(const base::Guid& key) const;
    void acknowledged(const std::vector<Acknowledgement>& acknowledgements);

    // passing.cpp
    [[nodiscard]] std::vector<pastry::NextHop> way(const base::Guid& key, unsigned hops, const Effort& effort) const;
    void pass_on(std::vector<Parcel> parcels, Bundles& bundles, const Effort& effort = {});
    void pass_on(std::vector<Parcel> parcels, const Effort& effort = {});
    void confirm(const base::NodeId& publisher, const std::vector<Acknowledgement>& acknowledgements);
    void add(Bundles& bundles, const pastry::NodeHandle& to, Parcel parcel, const Effort& effort);
    void leave(Bundle& bundle, const Effort& effort);
    void leave(Bundles& bundles, const Effort& effort = {});
    static void take_back(std::vector<Parcel>& parcels);
    base::Task<void> send_parcels(pastry::NodeHandle to, std::vector<Parcel> parcels, Effort effort);
    base::Task<void> pass_on_later(std::vector<Parcel> parcels, Effort effort);
    base::Task<base::Result<base::Message>> on_publish(base::Message message);
    base::Task<std::vector<Parcel>> take_in(std::vector<Parcel> parcels);
    [[nodiscard]] bool acceptable(const Announcement& announcement) const;
    [[nodiscard]] bool is_ahead(const Announcement& announcement) const;
    [[nodiscard]] bool refused_unread(const Parcel& parcel) const;
    base::Task<std::vector<std::uint8_t>> verify(std::shared_ptr<const std::vector<Parcel>> parcels);

    // moving.cpp
    [[nodiscard]] base::Result<base::Message> on_neighbour_query(const base::Message& message);
    base::Task<bool> query_neighbours(base::Guid object, base::Guid key);
    base::Task<void> query_neighbour(pastry::NodeHandle node, base::Guid object, std::shared_ptr<std::size_t> answers);
    class Mover;
    base::Task<void> move_pointers();
    [[nodiscard]] std::vector<base::NodeId> next_to_us(std::vector<base::NodeId> nodes, std::size_t count) const;
    base::Task<void> tell_what_moved(base::NodeId id);
    [[nodiscard]] bool ours_to_tell(const base::Guid& key, const base::NodeId& to, const Change& change) const;
    [[nodiscard]] Parcel moved(const Held& held, Range range, bool last) const;
    base::Task<base::Result<base::Message>> on_hand_over(base::NodeId newcomer, base::Message message);
    base::Task<base::Result<void>> hand_over(pastry::NodeHandle newcomer);
    base::Task<void> take_over();
    /// By then everybody who publishes has done so again.
    [[nodiscard]] base::Duration sure_after() const { return config_.republish_period * 5 / 4; }
    [[nodiscard]] std::vector<pastry::NodeHandle> next_to_ask(const std::map<base::NodeId, bool>& given) const;
    base::Task<bool> ask_to_hand_over(pastry::NodeHandle node, std::map<base::NodeId, bool>& given);

    // finding.cpp
    bool meet(Find& find, const base::SharedBytes& payload);
    base::Task<void> answer_as_root(Find find);
    [[nodiscard]] std::vector<Pointer> pointers_for(const Find& find) const;
    bool begin_to_hand_out(Find& find, const base::SharedBytes& payload, std::vector<Pointer> pointers);
    base::Task<void> hand_out_counted(Find find, base::SharedBytes payload, std::vector<Pointer> pointers);
    base::Task<void> hand_out(Find find, base::SharedBytes payload, std::vector<Pointer> pointers);
    [[nodiscard]] bool routed_to(const base::Guid& key, const Find& find) const;
    base::Task<bool> hand_to(Find find, base::SharedBytes payload, Pointer pointer);
    base::Task<bool> asked(Deliver deliver, base::SharedBytes payload, Verb verb, Pointer pointer);
    base::Task<void> take_denial(base::Guid object, Pointer pointer, Delivered delivered);
    void look_into(const Find& find);
    base::Task<void> check(base::Guid object, Pointer pointer);
    [[nodiscard]] base::Result<base::Message> on_have(const base::Message& message);
    [[nodiscard]] Delivered state_of(const base::Guid& object, unsigned root);
    base::Task<base::Result<base::Message>> on_deliver(base::Message message);
    base::Task<bool> take_message(Deliver deliver, base::SharedBytes message);
    void remember_taken(const Taken& taken);

    // asking.cpp
    void on_found(const base::NodeId& by, const base::Message& message);
    base::Task<void> ask(std::shared_ptr<Question> question, Find find, base::SharedBytes payload,
                         base::TimePoint deadline);
    base::Task<void> wait_for(std::shared_ptr<Question> question, std::size_t attempt, base::TimePoint until);
    void launch(const std::shared_ptr<Question>& question, Find find, const base::SharedBytes& payload);
    [[nodiscard]] std::optional<pastry::NodeHandle> other_way(const base::Guid& key, unsigned round) const;
    [[nodiscard]] std::vector<Location> by_our_distance(const Question& question) const;

    base::NodeEnv env_;
    pastry::Kbr& kbr_;
    Identity identity_;
    IsMember is_member_;
    const Config config_;
    PointerTable table_;
    Status counters_;
    OnMessage on_message_;

    std::set<base::Guid> own_;
    std::set<base::Guid> fresh_;                        // to be announced
    std::set<base::Guid> withdrawn_;                    // to be taken back
    std::map<base::Guid, base::TimePoint> taken_back_;  // said again until then
    std::uint64_t last_stamp_ = 0;
    std::uint64_t stamp_before_ = 0;     ///< 0: our clock was never set back by more than clocks may differ
    const std::uint64_t born_;           // no stamp of ours is smaller
    std::shared_ptr<base::Event> news_;  // shared with the timer, which may outlive the one who waits
    std::map<std::uint64_t, OnItsWay> on_their_way_;  // by stamp
    std::size_t under_way_ = 0;                       // publish messages without an answer
    std::size_t waiting_ = 0;                         // parcels that found no way
    std::size_t waiting_bytes_ = 0;                   // of these
    bool complete_ = false;                           // we have the pointers of the keys that we are root of
    bool warming_up_ = true;                          // not everybody who publishes has done so again since we came
    bool moving_ = false;                             // move_pointers() will look at this:
    Change change_;
    std::map<base::NodeId, Change> to_tell_;  // by who is being told; of what happened since that began
    std::set<base::NodeId> handing_over_;     // to whom

    struct HandedOver {
        std::uint64_t born = 0;  ///< its process
        base::TimePoint forget_at{};
    };
    std::map<base::NodeId, HandedOver> handed_over_;  // neighbours that came lately

    struct Attempt {
        std::shared_ptr<Question> question;
        std::size_t number = 0;
    };
    std::map<std::uint64_t, Attempt> questions_;
    std::set<Taken> taken_;
    std::deque<Taken> taken_order_;
    using Handlers = std::map<Taken, std::shared_ptr<base::Event>>;
    const std::shared_ptr<Handlers> being_taken_ = std::make_shared<Handlers>();  // a handler may end after us
    std::set<std::pair<base::Guid, base::NodeId>> checking_;
    std::size_t telling_ = 0;            // answers under way
    std::size_t neighbour_queries_ = 0;  // as a root that knows nobody
    std::size_t handing_out_ = 0;        // messages
    std::size_t handing_out_bytes_ = 0;
    base::TaskGroup tasks_;  // last: ends first
};

}  // namespace tapestry
