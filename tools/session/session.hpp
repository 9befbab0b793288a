// What a command on stored data stands on, wired in one place: an event loop, the doors of a client, and PAST, which is
// the running node's (through its socket) or, where no network was ever joined, the store of this machine alone.
#pragma once

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "base/disk.hpp"
#include "base/env.hpp"
#include "base/host/host_runtime.hpp"
#include "base/local_tree.hpp"
#include "base/result.hpp"
#include "base/task.hpp"
#include "base/task_group.hpp"
#include "cli/verbs.hpp"
#include "objstore/high_water.hpp"
#include "objstore/volume.hpp"
#include "past/storage.hpp"
#include "session/data_directory.hpp"
#include "session/shared_store.hpp"

namespace tools {

/// Runs `task` so that a request on `stop` cancels it: it is resumed with operation_aborted.
template <class T>
base::Task<base::Result<T>> until_stopped(base::Task<base::Result<T>> task, std::stop_token stop) {
    namespace asio = boost::asio;
    const auto executor = co_await asio::this_coro::executor;
    const auto signal = std::make_shared<asio::cancellation_signal>();
    const auto cancel = [executor, signal] {
        asio::post(executor, [signal] { signal->emit(asio::cancellation_type::all); });
    };
    const std::stop_callback on_stop{std::move(stop), cancel};
    auto token = asio::bind_cancellation_slot(signal->slot(), asio::use_awaitable);
    co_return co_await asio::co_spawn(executor, std::move(task), std::move(token));
}

class Session {
  public:
    /// Errors: Errc::no_node (a network was joined, but its node does not run: never a local copy instead),
    /// base::Errc::locked, and what opening the store says.
    [[nodiscard]] static base::Result<std::unique_ptr<Session>> open(Context& context);
    /// Another one, on another data directory, whose coroutines run with those of `other`.
    [[nodiscard]] static base::Result<std::unique_ptr<Session>> open_beside(Context& context, const Session& other);
    /// Closes the store in order.
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Within --limit-upload and --limit-download.
    [[nodiscard]] past::Storage& storage() { return *storage_; }
    /// The client's doors: its disk is DIR/client.
    [[nodiscard]] base::NodeEnv env();
    [[nodiscard]] objstore::HighWater& high_water() { return *high_water_; }
    [[nodiscard]] base::LocalTree& files() { return *files_; }
    [[nodiscard]] const DataDirectory& directory() const { return directory_; }
    /// The name of the network that keeps what is stored; nullopt: this machine alone does.
    [[nodiscard]] const std::optional<std::string>& network() const { return network_; }

    /// Await what goes on behind the volume's commits. Before it is destroyed.
    void finish(objstore::Volume& volume) { runtime_->run(volume.finish()); }

    /// The store is this machine's own, and no other command used it at one moment during this call.
    [[nodiscard]] bool alone() const { return shared_ && shared_->only_us(); }

    /// Runs a command's coroutine to its end on this thread. Errc::interrupted after Ctrl-C; Errc::node_gone if our
    /// node ended meanwhile.
    template <class T>
    base::Result<T> run(base::Task<base::Result<T>> task) {
        auto result = runtime_->run(until_stopped(std::move(task), stop_));
        if (!result) return judge(result.error());
        return result;
    }
    /// The same, calling `tick` twice a second meanwhile.
    template <class T>
    base::Result<T> run(base::Task<base::Result<T>> task, std::function<void()> tick) {
        return run(ticking(std::move(task), &runtime_->clock(), std::move(tick)));
    }
    /// The same; a terminal is told after two seconds what is waited for.
    template <class T>
    base::Result<T> run(base::Task<base::Result<T>> task, std::string waits_for) {
        auto result = run(std::move(task), tell_after_a_while(std::move(waits_for)));
        console_.status("");
        return result;
    }

  private:
    Session(Context& context, std::shared_ptr<base::host::HostRuntime> runtime);
    [[nodiscard]] static base::Result<std::unique_ptr<Session>> open(std::unique_ptr<Session> session,
                                                                     Context& context);
    [[nodiscard]] base::Error judge(const base::Error& error) const;
    base::Result<void> open_client();
    base::Result<void> connect_to_node();
    base::Result<void> connect_to_other_node();
    base::Result<void> open_shared_store(const Settings& settings);
    [[nodiscard]] std::function<void()> tell_after_a_while(std::string waits_for);

    static base::Task<void> tick_on(base::Clock* clock, std::function<void()> tick);
    template <class T>
    static base::Task<base::Result<T>> ticking(base::Task<base::Result<T>> task, base::Clock* clock,
                                               std::function<void()> tick) {
        const auto executor = co_await boost::asio::this_coro::executor;
        base::TaskGroup group{executor};
        group.spawn(tick_on(clock, std::move(tick)));
        auto result = co_await std::move(task);
        group.cancel();
        co_await group.join();
        co_return result;
    }

    Console& console_;
    DataDirectory directory_;
    std::stop_token stop_;
    std::shared_ptr<base::host::HostRuntime> runtime_;
    std::unique_ptr<base::LocalTree> files_;
    std::unique_ptr<base::Disk> client_disk_;
    std::unique_ptr<base::Transport> transport_;  // to the node near us, or one that reaches nobody
    std::unique_ptr<past::Storage> client_;
    std::unique_ptr<SharedStore> shared_;
    std::unique_ptr<past::Storage> limited_;
    past::Storage* storage_ = nullptr;  // the one of these that calls come in at
    std::optional<std::string> network_;
    std::unique_ptr<objstore::HighWater> high_water_;
};

}  // namespace tools
