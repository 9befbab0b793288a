#include "mount/serve.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/task_group.hpp"
#include "base/wait.hpp"

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

}  // namespace

base::Task<base::Result<void>> serve_until_unmounted(base::NodeEnv env, objstore::Volume& volume,
                                                     objstore::WorkingTree& tree, fusefs::FileSystem& files,
                                                     fusefs::Mount& mount, std::stop_token stop) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const Stopped asked{env.executor, std::move(stop)};
    const auto& stopped = asked.event;
    base::TaskGroup group{env.executor};
    group.spawn(tree.run());
    group.spawn(unmount_when(stopped, &tree, &mount));
    co_await mount.serve(files);
    auto committed = co_await tree.commit();
    while (!committed && !stopped->is_set()) {
        env.log.write(base::Log::Level::warning, "mount",
                      "cannot store the last changes yet: " + committed.error().message());
        co_await base::wait_until(env.clock, stopped, env.clock.now() + kTryAgain);
        committed = co_await tree.commit();
    }
    group.cancel();
    co_await group.join();
    co_await volume.finish();
    if (!committed) co_return committed.error().with("cannot store the last changes");
    co_return base::ok();
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
