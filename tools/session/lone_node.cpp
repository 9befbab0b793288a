#include "session/lone_node.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"
#include "cli/exit_code.hpp"
#include "objstore/heartbeat.hpp"
#include "session/lone_identity.hpp"

namespace tools {

namespace {

using namespace std::chrono_literals;

constexpr std::string_view kIdentityRecord = "pelago lone node";

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
        if (!opened && opened.error() == base::Errc::read_only) {
            // What there is can be read all the same: an archive on a medium that is, or became, read-only.
            store.read_only = true;
            auto readable = co_await past::SegmentStore::open(env, store);
            if (readable || !(readable.error() == base::Errc::not_found)) opened = std::move(readable);
            store.read_only = false;
        }
        if (opened || !(opened.error() == base::Errc::locked) || env.clock.now() >= deadline) co_return opened;
        co_await env.clock.sleep_for(100ms);
    }
}

base::Address address_of(const past::Identity& identity) {
    return {base::node_id(identity.key.public_key(), identity.salt), ""};
}

}  // namespace

LoneNode::LoneNode(base::host::HostRuntime& runtime, base::Disk& disk)
    : transport_{base::Address{}},
      env_{runtime.executor(), runtime.clock(), runtime.rng(), transport_, disk, runtime.workers(), runtime.log()} {}

// The file and the store's copy stand in for each other (docs/formats/lone-node.md): the registers are ours only.
base::Task<base::Result<void>> LoneNode::find_identity(LoneNode* self) {
    auto& disk = self->env_.disk;
    auto read = [&disk] { return read_lone_identity(disk); };
    auto file = co_await self->env_.workers.run(std::move(read));
    const bool damaged = !file && file.error() == base::Errc::corrupt;
    if (!file && !damaged) co_return file.error();
    const bool have_file = file && *file;
    const auto key = base::sha256(base::as_bytes(kIdentityRecord));
    const auto record = self->store_->record(key);
    std::optional<past::Identity> kept;
    if (record) {
        BASE_CO_TRY(kept, decode_lone_identity(*record));
    }
    if (!kept && damaged) co_return file.error();
    if (have_file && kept && encode_lone_identity(**file) != *record) {
        co_return base::Error{Errc::other_node, "cannot use the node's identity node/lone.id"};
    }
    self->identity_ = have_file ? std::move(*file) : kept ? kept : draw_lone_identity(self->env_.rng);
    const bool read_only = self->store_->usage().read_only;
    if (!kept && !read_only)
        BASE_CO_CHECK(co_await self->store_->put_record(key, encode_lone_identity(*self->identity_)));
    if (have_file || (kept && read_only)) co_return base::ok();
    if (kept || self->store_->usage().blocks > 0) {
        const std::string what = damaged ? "was damaged" : "was missing";
        self->env_.log.write(base::Log::Level::warning, "node",
                             "the node's identity node/lone.id " + what +
                                 (kept ? "; it was written again from the store's copy"
                                       : " beside a store that has blocks; a new one was made"));
    }
    auto write = [&disk, &identity = *self->identity_] { return write_lone_identity(disk, identity); };
    co_return co_await self->env_.workers.run(std::move(write));
}

base::Task<base::Result<std::unique_ptr<LoneNode>>> LoneNode::open(base::host::HostRuntime& runtime, base::Disk& disk,
                                                                   LoneNodeConfig config) {
    std::unique_ptr<LoneNode> node{new LoneNode{runtime, disk}};
    BASE_CO_TRY(node->store_, co_await open_store(node->env_, config));
    auto found = co_await find_identity(node.get());
    if (!found) {
        co_await node->store_->close();
        co_return found.error();
    }
    node->transport_.become(address_of(*node->identity_));
    node->overlay_.emplace(node->env_, pastry::NodeHandle{node->transport_.self(), ""});
    past::RecordVerifier verifier = objstore::verify_heartbeat;
    node->past_ = std::make_unique<past::Node>(node->env_, *node->overlay_, *node->store_, *node->identity_,
                                               node->membership_, std::move(verifier), lone_config());
    co_return node;
}

base::Task<void> LoneNode::close() {
    co_await past_->stop();
    co_await store_->give_back();
    co_await store_->close();
}

}  // namespace tools
