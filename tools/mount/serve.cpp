#include "mount/serve.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

#include "base/task_group.hpp"
#include "base/wait.hpp"
#include "cli/text.hpp"

namespace tools {

namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kTryAgain{2};

/// Set, on the executor, once `stop` is requested.
struct Stopped {
    Stopped(base::Executor executor, std::stop_token stop)
        : event{std::make_shared<base::Event>(executor)}, callback{std::move(stop), Tell{executor, event}} {}

    struct Tell {
        base::Executor executor;
        std::shared_ptr<base::Event> event;
        void operator()() const {
            asio::post(executor, [event = event] { event->set(); });
        }
    };
    std::shared_ptr<base::Event> event;
    std::stop_callback<Tell> callback;
};

/// Asked to stop: nothing that was changed is lost by it. `tree`: null where nothing is.
base::Task<void> unmount_when(std::shared_ptr<base::Event> stopped, objstore::WorkingTree* tree, fusefs::Mount* mount) {
    co_await stopped->wait();
    // What is not durable afterwards is tried again once nobody can change more.
    if (tree != nullptr) (void)co_await tree->commit();
    co_await mount->unmount();
}

std::string unstored(const objstore::WorkingTree& tree) {
    const auto now = tree.statistics();
    return "the last changes (of " + plural(now.dirty_inodes, "file or directory", "files and directories") + ", " +
           human_size(now.dirty_bytes) + " of content)";
}

/// Nobody can change more. Tries until it is stored; asked to stop, `leaving.timeout` longer (a second signal ends the
/// process).
base::Task<base::Result<void>> store_the_rest(base::NodeEnv env, objstore::WorkingTree* tree,
                                              std::shared_ptr<base::Event> stopped, Leaving leaving) {
    std::optional<base::TimePoint> until;
    for (;;) {
        auto committed = co_await tree->commit();
        if (committed) co_return committed;
        const auto now = env.clock.now();
        if (tree->statistics().dirty_inodes == 0) co_return base::ok();  // no more than atimes: nothing is lost
        if (!stopped->is_set()) {
            env.log.write(base::Log::Level::warning, "mount",
                          "cannot store " + unstored(*tree) + " yet: " + committed.error().message());
            co_await base::wait_until(env.clock, stopped, now + kTryAgain);
            continue;
        }
        const bool for_ever = leaving.timeout == base::Duration::zero();
        if (!until) {
            until = for_ever ? base::TimePoint::max() : now + leaving.timeout;
            leaving.warn(
                "cannot store " + unstored(*tree) + " yet: " + committed.error().message() + "; it is tried " +
                (for_ever ? "for ever" : "for " + std::to_string(leaving.timeout / std::chrono::seconds{1}) + " s") +
                ", another signal ends it and they are lost");
        }
        if (now >= *until) co_return committed;
        co_await env.clock.sleep_until(std::min(*until, now + kTryAgain));
    }
}

}  // namespace

base::Task<base::Result<void>> serve_until_unmounted(base::NodeEnv env, objstore::Volume& volume,
                                                     objstore::WorkingTree& tree, fusefs::Files& files,
                                                     fusefs::Mount& mount, std::stop_token stop, Leaving leaving) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const Stopped asked{env.executor, std::move(stop)};
    const auto& stopped = asked.event;
    base::TaskGroup group{env.executor};
    group.spawn(tree.run());
    group.spawn(unmount_when(stopped, &tree, &mount));
    co_await mount.serve(files);
    const auto committed = co_await store_the_rest(env, &tree, stopped, leaving);
    // Said here: of a command that was asked to stop no more is told than that it was interrupted.
    if (!committed) leaving.warn("lost " + unstored(tree) + ": " + committed.error().message());
    group.cancel();
    co_await group.join();
    co_await volume.finish();
    co_return committed;
}

base::Task<base::Result<void>> serve_until_unmounted(base::NodeEnv env, fusefs::Files& files, fusefs::Mount& mount,
                                                     std::stop_token stop) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const Stopped asked{env.executor, std::move(stop)};
    base::TaskGroup group{env.executor};
    group.spawn(unmount_when(asked.event, nullptr, &mount));
    co_await mount.serve(files);
    group.cancel();
    co_await group.join();
    co_return base::ok();
}

}  // namespace tools
