// What stands behind pastry::Node. Two files: node.cpp reacts (messages, timers, upcalls), node_walk.cpp asks
// (look-ups, join, finding a lost ring again).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/task_group.hpp"
#include "pastry/node.hpp"
#include "router.hpp"

namespace pastry {

class Node::Impl {
  public:
    Impl(base::NodeEnv env, NodeHandle self, Config config);
    ~Impl();
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    /// Where an iterative look-up went, and what its last node (the root) answered.
    struct Walk {
        std::vector<TraceHop> hops;
        LookupReply root;
        std::vector<NodeHandle> rows;  // of all nodes on the way, if it was a join
    };

    // node.cpp
    void found();
    void attach(base::Service service, Application* application);
    void route(const base::Guid& key, base::Message message, std::optional<NodeHandle> hint);
    void adopt(const std::vector<NodeHandle>& leaf_set, const std::vector<Neighbour>& table);
    void perform(Effects effects);
    base::Task<void> stop();
    void admit_only(std::function<bool(const base::NodeId&)> is_one_of_us) { is_one_of_us_ = std::move(is_one_of_us); }
    void expel(const base::NodeId& node);
    void contact(base::Address member);
    void visit(const std::vector<base::Address>& members);
    [[nodiscard]] Status status() const;
    [[nodiscard]] base::TimePoint now() const { return env_.clock.now(); }
    [[nodiscard]] const NodeHandle& self() const { return self_; }
    [[nodiscard]] const Config& config() const { return config_; }
    [[nodiscard]] Router& router() { return router_; }

    // node_walk.cpp
    base::Task<base::Result<void>> join(std::vector<base::Address> seeds, base::TimePoint deadline, IfAllWait if_all);
    base::Task<base::Result<Walk>> find_root(base::Guid key, std::size_t count, base::TimePoint deadline);
    base::Task<base::Result<base::Duration>> ping(NodeHandle node, base::TimePoint deadline);
    [[nodiscard]] std::vector<NodeHandle> known_peers(std::size_t limit) const;

  private:
    [[nodiscard]] bool one_of_us(const base::NodeId& node) const { return !is_one_of_us_ || is_one_of_us_(node); }
    void on_notice(const base::Peer& from, base::Message message);
    base::Task<base::Result<base::Message>> on_request(base::Peer from, base::Message message);
    void perform_one(effect::Send& send);
    void perform_one(effect::Deliver& deliver);
    void perform_one(effect::Forward& forward);
    void perform_one(effect::Changed& changed);
    void perform_one(effect::Active& active);
    void upcall_deliver(Envelope envelope);
    [[nodiscard]] Application* application(const base::Message& message) const;
    void rearm();
    void on_timer();

    base::Task<base::Result<Walk>> walk(Lookup question, std::vector<NodeHandle> start, base::TimePoint deadline);
    base::Task<base::Result<void>> enter_through(NodeHandle seed, base::TimePoint deadline);
    base::Task<bool> wait_until_active(base::TimePoint deadline);
    base::Task<void> merge_through(NodeHandle peer);
    void remember_seeds(const std::vector<base::Address>& seeds);
    [[nodiscard]] std::vector<NodeHandle> members_to_ask() const;
    void remember_met(const Walk& walk);
    void rearm_merge(base::Duration pause);
    void look_for_lost_ring();

    base::NodeEnv env_;
    NodeHandle self_;
    Config config_;
    Router router_;
    std::function<bool(const base::NodeId&)> is_one_of_us_;
    std::map<base::Service, Application*> applications_;
    std::shared_ptr<Impl*> alive_;  // what was posted holds it weakly

    base::Clock::TimerId timer_ = 0;
    base::TimePoint timer_at_{};
    base::Clock::TimerId merge_timer_ = 0;
    base::Duration merge_pause_{};
    std::size_t merge_turn_ = 0;
    std::vector<base::Address> seeds_;

    base::TaskGroup tasks_;
    base::Event phase_changed_;
    bool stopped_ = false;
    bool visits_ = false;

    std::uint64_t sent_ = 0;
    std::uint64_t received_ = 0;
    std::uint64_t malformed_ = 0;
    std::uint64_t maintenance_ = 0;
};

}  // namespace pastry
