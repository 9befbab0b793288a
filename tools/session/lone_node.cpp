#include "session/lone_node.hpp"

#include "base/error.hpp"
#include "objstore/heartbeat.hpp"
#include "session/lone_identity.hpp"

namespace tools {

namespace {

using namespace std::chrono_literals;

/// Nobody else has copies, so there is nothing to compare and nothing to repair.
past::Config lone_config() {
    past::Config config;
    config.repair = false;
    return config;
}

/// Commands are short, and two at once are normal in scripts: a moment of patience spares them a retry of their own.
base::Task<base::Result<std::unique_ptr<past::SegmentStore>>> open_store(base::NodeEnv env, LoneNodeConfig config) {
    past::SegmentStore::Config store;
    store.capacity_bytes = config.capacity_bytes;
    const auto deadline = env.clock.now() + config.lock_wait;
    for (;;) {
        auto opened = co_await past::SegmentStore::open(env, store);
        if (opened || !(opened.error() == base::Errc::locked) || env.clock.now() >= deadline) co_return opened;
        co_await env.clock.sleep_for(100ms);
    }
}

base::Address address_of(const past::Identity& identity) {
    return {base::node_id(identity.key.public_key(), identity.salt), ""};
}

}  // namespace

LoneNode::LoneNode(base::host::HostRuntime& runtime, base::Disk& disk, past::Identity identity)
    : self_{address_of(identity)},
      identity_{std::move(identity)},
      transport_{self_},
      env_{runtime.executor(), runtime.clock(), runtime.rng(), transport_, disk, runtime.workers(), runtime.log()} {}

base::Task<base::Result<std::unique_ptr<LoneNode>>> LoneNode::open(base::host::HostRuntime& runtime, base::Disk& disk,
                                                                   LoneNodeConfig config) {
    BASE_CO_TRY(auto identity, lone_identity(disk, runtime.rng()));
    std::unique_ptr<LoneNode> node{new LoneNode{runtime, disk, std::move(identity)}};
    BASE_CO_TRY(node->store_, co_await open_store(node->env_, config));
    node->overlay_.emplace(node->env_, pastry::NodeHandle{node->self_, ""});
    past::RecordVerifier verifier = objstore::verify_heartbeat;
    node->past_ = std::make_unique<past::Node>(node->env_, *node->overlay_, *node->store_, node->identity_,
                                               node->membership_, std::move(verifier), lone_config());
    co_return node;
}

base::Task<void> LoneNode::close() {
    co_await past_->stop();
    co_await store_->close();
}

}  // namespace tools
