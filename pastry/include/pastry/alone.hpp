// Key-based routing in a network of one: every key is ours, nothing is sent.
//
// What a command without a running node stands on (an embedded store), and the simplest Kbr for tests of upper layers.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "base/env.hpp"
#include "pastry/kbr.hpp"

namespace pastry {

class Alone final : public Kbr {
  public:
    /// `self.address.endpoint` may be "": nobody dials us. The doors outlive this.
    Alone(base::NodeEnv env, NodeHandle self);
    ~Alone() override;
    Alone(const Alone&) = delete;
    Alone& operator=(const Alone&) = delete;

    [[nodiscard]] const NodeHandle& self() const override { return self_; }
    void attach(base::Service service, Application* application) override;
    /// Delivers on the executor, after this call has returned. Forward upcalls do not happen: there is no way to go.
    void route(const base::Guid& key, base::Message message, std::optional<NodeHandle> hint = {}) override;
    [[nodiscard]] std::vector<NextHop> next_hops(const base::Guid& key, std::size_t count) const override;
    [[nodiscard]] std::vector<NodeHandle> replica_set(const base::Guid& key, std::size_t count) const override;
    base::Task<base::Result<std::vector<NodeHandle>>> find_replica_set(base::Guid key, std::size_t count,
                                                                       base::TimePoint deadline) override;
    [[nodiscard]] std::vector<NodeHandle> neighbours() const override { return {}; }
    [[nodiscard]] std::vector<AbsentNode> absent() const override { return {}; }
    [[nodiscard]] bool active() const override { return true; }

  private:
    void deliver(const base::Guid& key, base::Message message);

    base::NodeEnv env_;
    NodeHandle self_;
    std::map<base::Service, Application*> applications_;
    std::shared_ptr<Alone*> alive_;  // what deliveries under way hold weakly: they end with us
};

}  // namespace pastry
