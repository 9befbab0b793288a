#include "mount/serve.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/task_group.hpp"
#include "base/wait.hpp"

namespace tools {

namespace {

namespace asio = boost::asio;

constexpr std::chrono::seconds kTryAgain{2};

/// Asked to stop: nothing that was changed is lost by it.
base::Task<void> unmount_when(std::shared_ptr<base::Event> stopped, objstore::WorkingTree* tree, fusefs::Mount* mount) {
    co_await stopped->wait();
    (void)co_await tree->commit();  // what is not durable afterwards is tried again once nobody can change more
    co_await mount->unmount();
}

}  // namespace

base::Task<base::Result<void>> serve_until_unmounted(base::NodeEnv env, objstore::Volume& volume,
                                                     objstore::WorkingTree& tree, fusefs::FileSystem& files,
                                                     fusefs::Mount& mount, std::stop_token stop) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const auto stopped = std::make_shared<base::Event>(env.executor);
    const auto tell = [executor = env.executor, stopped] { asio::post(executor, [stopped] { stopped->set(); }); };
    const std::stop_callback on_stop{std::move(stop), tell};
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

}  // namespace tools
