#include "session/lone_node.hpp"

#include "base/error.hpp"
#include "base/hash.hpp"
#include "cli/exit_code.hpp"
#include "objstore/heartbeat.hpp"
#include "session/lone_identity.hpp"

namespace tools {

namespace {

constexpr std::string_view kIdentityRecord = "pelago lone node";

/// Nobody else has copies, so there is nothing to compare and nothing to repair.
past::Config lone_config() {
    past::Config config;
    config.repair = false;
    return config;
}

/// `full`: for want of what room the store can only be read.
base::Task<base::Result<std::unique_ptr<past::SegmentStore>>> open_store(base::NodeEnv env, LoneNodeConfig config,
                                                                         std::optional<base::Error>& full) {
    past::SegmentStore::Config store;
    store.capacity_bytes = config.capacity_bytes;
    auto opened = co_await past::SegmentStore::open(env, store);
    const bool no_room = !opened && opened.error() == base::Errc::no_space;
    if (opened || !(no_room || opened.error() == base::Errc::read_only)) co_return opened;
    // What there is can be read all the same: an archive on a medium that is, or became, read-only or full.
    store.read_only = true;
    auto readable = co_await past::SegmentStore::open(env, store);
    if (readable && no_room) full = opened.error();
    if (readable || !(readable.error() == base::Errc::not_found)) co_return readable;
    co_return opened;
}

base::Address address_of(const LoneIdentity& identity) {
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
    std::optional<LoneIdentity> kept;
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
    BASE_CO_TRY(node->store_, co_await open_store(node->env_, config, node->full_));
    if (node->full_) {
        runtime.log().write(base::Log::Level::warning, "node",
                            "what is stored can only be read: " + node->full_->message());
    }
    auto found = co_await find_identity(node.get());
    if (!found) {
        co_await node->store_->close();
        co_return found.error();
    }
    node->transport_.become(address_of(*node->identity_));
    node->overlay_.emplace(node->env_, pastry::NodeHandle{node->transport_.self(), ""});
    past::RecordVerifier verifier = objstore::verify_heartbeat;
    node->past_ = std::make_unique<past::Node>(node->env_, *node->overlay_, *node->store_, node->membership_,
                                               std::move(verifier), lone_config());
    co_return node;
}

void LoneNode::listen(const std::string& socket) {
    auto opened = base::host::LocalServer::open(env_.executor, env_.clock, env_.rng, env_.log, socket);
    if (!opened) {
        env_.log.write(base::Log::Level::info, "node", "other commands wait: " + opened.error().message());
        return;
    }
    socket_ = std::move(*opened);
    server_ = std::make_unique<past::LocalServer>(env_, *past_);
    socket_->serve(base::Service::local,
                   [this](base::Peer, base::Message message) { return answer(std::move(message)); }, {});
}

base::Task<base::Result<base::Message>> LoneNode::answer(base::Message message) {
    if (!past::LocalServer::owns(message.verb())) {
        co_return base::Error{base::Errc::unsupported, "command number " + std::to_string(message.verb())};
    }
    auto answered = co_await server_->handle(std::move(message));
    if (!answered && full_ && answered.error() == base::Errc::read_only) co_return *full_;
    co_return answered;
}

base::Task<void> LoneNode::close() {
    if (socket_) co_await socket_->stop();
    co_await past_->stop();
    co_await store_->give_back();
    co_await store_->close();
}

}  // namespace tools
