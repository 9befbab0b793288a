// A storage peer, from its doors to PAST: the one place where the layers of a member are wired, for the daemon and for
// simulations of whole networks alike.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/env.hpp"
#include "base/membership_service.hpp"
#include "base/network_directory.hpp"
#include "base/task_group.hpp"
#include "past/node.hpp"
#include "past/segment_store.hpp"
#include "pastry/node.hpp"
#include "tapestry/node.hpp"

namespace tools {

struct PeerConfig {
    pastry::Config overlay;
    tapestry::Config location;
    past::Config past;
    past::SegmentStore::Config store;
    base::Duration join_timeout = std::chrono::seconds{60};  ///< of one try; it tries for ever
    base::Duration seeds_period = std::chrono::seconds{60};  ///< of writing down who is up
    base::Duration first_seeds = std::chrono::seconds{2};  ///< the same while few are known: all may lose power at once
    std::function<void()> network_changed;  ///< called when a newer policy or roster was adopted, and may be empty
};

class PeerStack {
  public:
    /// Opens the store and begins to serve; it looks for its ring in the background. `network` and the doors outlive
    /// it. Errors are those of SegmentStore::open().
    static base::Task<base::Result<std::unique_ptr<PeerStack>>> start(base::NodeEnv env,
                                                                      base::NetworkDirectory& network,
                                                                      PeerConfig config);
    ~PeerStack();
    /// Ends everything in order; await it before destroying the stack while the executor goes on running.
    base::Task<void> stop();

    [[nodiscard]] pastry::Node& overlay() { return overlay_; }
    [[nodiscard]] tapestry::Node& location() { return location_; }
    [[nodiscard]] past::Node& past() { return *past_; }
    [[nodiscard]] past::SegmentStore& store() { return *store_; }
    [[nodiscard]] base::MembershipService& membership() { return *membership_; }
    [[nodiscard]] base::NetworkDirectory& network() { return network_; }
    /// After a local command changed `network`: everybody is told, also in this process.
    void network_changed();
    /// A member may be found there. Errors: not_found, or those of writing it down.
    base::Result<void> contact(const base::Address& member);
    [[nodiscard]] bool is_client() const { return network_.certificate().role == base::Role::client; }

  private:
    PeerStack(base::NodeEnv env, base::NetworkDirectory& network, PeerConfig config);
    base::Task<void> find_ring();
    void adopted();
    void begin_alone();
    void met(const base::Address& member);
    [[nodiscard]] std::vector<base::Address> neighbours() const;
    [[nodiscard]] bool sole_member() const;
    base::Task<void> remember_seeds();
    [[nodiscard]] std::vector<base::Address> seeds_now() const;

    base::NodeEnv env_;
    base::NetworkDirectory& network_;
    PeerConfig config_;
    past::MembershipView view_;
    pastry::Node overlay_;
    tapestry::Node location_;
    std::unique_ptr<past::SegmentStore> store_;
    std::unique_ptr<past::Node> past_;
    std::unique_ptr<base::MembershipService> membership_;
    bool alone_ = false;  // it began the ring as the only member
    base::TaskGroup tasks_;
};

}  // namespace tools
