#include "session/shared_store.hpp"

#include "base/error.hpp"
#include "base/host/host_disk.hpp"
#include "base/host/local_socket.hpp"
#include "base/network_directory.hpp"
#include "cli/exit_code.hpp"

namespace tools {

using base::Guid;
using base::Result;
using base::Task;
using base::TimePoint;

namespace {

constexpr auto kLookAgain = std::chrono::milliseconds{50};

/// Of the connection to whoever holds the store; what the store itself says of its one node is none of these.
bool is_lost(const base::Error& error) {
    return error == base::Errc::unreachable || error == base::Errc::stopped || error == base::Errc::timed_out;
}

/// Whether a holder that ended had written it is not known, but can be seen: a record that is there is there.
Task<Result<void>> write_again(past::Storage& storage, Guid key, std::uint64_t expected, past::Record next,
                               TimePoint deadline) {
    BASE_CO_TRY(const auto present, co_await storage.read_record(key, deadline));
    if (present && present->sequence == next.sequence && present->body == next.body) co_return base::ok();
    co_return co_await storage.write_record(key, expected, std::move(next), deadline);
}

}  // namespace

struct SharedStore::Holder {
    Holder(base::host::HostRuntime& runtime, const std::string& socket)
        : transport{base::host::connect_local(runtime.executor(), runtime.clock(), runtime.rng(), socket)},
          client{*transport, runtime.clock(), base::Address{}} {}

    std::unique_ptr<base::Transport> transport;
    past::LocalClient client;
};

Result<std::optional<std::string>> joined_network(const DataDirectory& directory) {
    auto disk = base::host::HostDisk::open(directory.node());
    if (!disk && disk.error() == base::Errc::not_found) return std::optional<std::string>{};
    if (!disk) return disk.error();
    const auto network = base::NetworkDirectory::open(**disk);
    if (network) return std::optional{network->name()};
    if (network.error() == base::Errc::not_found) return std::optional<std::string>{};
    return network.error();
}

SharedStore::SharedStore(base::host::HostRuntime& runtime, DataDirectory directory, LoneNodeConfig config)
    : runtime_{runtime}, directory_{std::move(directory)}, config_{config}, finding_{runtime.executor(), 1} {}

SharedStore::~SharedStore() = default;

Task<Result<void>> SharedStore::open() {
    BASE_CO_TRY(disk_, base::host::HostDisk::create(directory_.node()));
    users_.emplace(directory_.users());
    co_return co_await find(runtime_.clock().now() + config_.patience);
}

Task<void> SharedStore::close() {
    if (node_) co_await node_->close();
}

Task<Result<void>> SharedStore::find(TimePoint give_up) {
    for (;;) {
        if (somebody_listens(directory_.socket())) {
            holder_ = std::make_shared<Holder>(runtime_, directory_.socket());
            co_return base::ok();
        }
        BASE_CO_TRY(const auto network, joined_network(directory_));
        if (network) co_return base::Error{Errc::no_node, "cannot reach network '" + *network + "'"};
        auto opened = co_await LoneNode::open(runtime_, *disk_, config_);
        if (opened) {
            node_ = std::move(*opened);
            holder_.reset();
            node_->listen(directory_.socket());
            co_return base::ok();
        }
        // Whoever has it is about to listen, or to end.
        if (!(opened.error() == base::Errc::locked) || runtime_.clock().now() >= give_up) co_return opened.error();
        co_await runtime_.clock().sleep_for(kLookAgain);
    }
}

/// Many calls lose their holder at once: the first of them looks for the next one.
Task<Result<void>> SharedStore::replace(std::shared_ptr<Holder> lost, TimePoint give_up) {
    const auto permit = co_await finding_.acquire();
    if (node_ || holder_ != lost) co_return base::ok();
    co_await runtime_.clock().sleep_for(kLookAgain);
    co_return co_await find(give_up);
}

template <class T>
Task<Result<T>> SharedStore::ask(Call<T> call, TimePoint deadline) {
    for (;;) {
        const auto holder = holder_;
        past::Storage& storage = holder ? static_cast<past::Storage&>(holder->client) : node_->storage();
        auto result = co_await call(storage);
        if (result || !holder || !is_lost(result.error())) co_return result;
        if (runtime_.clock().now() >= deadline) {
            co_return base::Error{base::Errc::locked, "no answer from who holds the store of " + directory_.path};
        }
        BASE_CO_CHECK(co_await replace(holder, deadline));
    }
}

Task<Result<past::PutOutcome>> SharedStore::put(Guid group, past::Tag tag, std::vector<past::Block> blocks,
                                                past::Wait wait, TimePoint deadline) {
    Call<past::PutOutcome> call = [=, blocks = std::move(blocks)](past::Storage& storage) {
        return storage.put(group, tag, blocks, wait, deadline);
    };
    return ask(std::move(call), deadline);
}

Task<Result<base::SharedBytes>> SharedStore::get(Guid group, Guid id, TimePoint deadline) {
    Call<base::SharedBytes> call = [=](past::Storage& storage) { return storage.get(group, id, deadline); };
    return ask(std::move(call), deadline);
}

Task<Result<std::vector<bool>>> SharedStore::touch(Guid group, past::Tag tag, std::vector<Guid> ids,
                                                   TimePoint deadline) {
    Call<std::vector<bool>> call = [=, ids = std::move(ids)](past::Storage& storage) {
        return storage.touch(group, tag, ids, deadline);
    };
    return ask(std::move(call), deadline);
}

Task<Result<void>> SharedStore::remove(past::Reclaim reclaim, TimePoint deadline) {
    Call<void> call = [=, reclaim = std::move(reclaim)](past::Storage& storage) {
        return storage.remove(reclaim, deadline);
    };
    return ask(std::move(call), deadline);
}

Task<Result<past::TaggedBlocks>> SharedStore::list(past::BlockQuery query, Guid after, TimePoint deadline) {
    Call<past::TaggedBlocks> call = [=](past::Storage& storage) { return storage.list(query, after, deadline); };
    return ask(std::move(call), deadline);
}

Task<Result<std::optional<past::Record>>> SharedStore::read_record(Guid key, TimePoint deadline) {
    Call<std::optional<past::Record>> call = [=](past::Storage& storage) { return storage.read_record(key, deadline); };
    return ask(std::move(call), deadline);
}

Task<Result<past::ShownRecord>> SharedStore::read_any_record(Guid key, TimePoint deadline) {
    Call<past::ShownRecord> call = [=](past::Storage& storage) { return storage.read_any_record(key, deadline); };
    return ask(std::move(call), deadline);
}

Task<Result<void>> SharedStore::write_record(Guid key, std::uint64_t expected, past::Record next, TimePoint deadline) {
    Call<void> call = [=, again = false](past::Storage& storage) mutable {
        const bool was_asked = std::exchange(again, true);
        return was_asked ? write_again(storage, key, expected, next, deadline)
                         : storage.write_record(key, expected, next, deadline);
    };
    return ask(std::move(call), deadline);
}

Task<Result<void>> SharedStore::restore_record(Guid key, past::Record lost, TimePoint deadline) {
    Call<void> call = [=](past::Storage& storage) { return storage.restore_record(key, lost, deadline); };
    return ask(std::move(call), deadline);
}

}  // namespace tools
