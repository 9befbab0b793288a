#include "mount/serve.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "base/error.hpp"
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

/// What came of one commit, if that is known by `until`; else it goes on. Peers that are cut off let one last as long
/// as a put may.
base::Task<base::Result<void>> commit_by(base::NodeEnv env, objstore::WorkingTree* tree, base::TimePoint until) {
    struct Outcome {
        explicit Outcome(const base::Executor& executor) : known{std::make_shared<base::Event>(executor)} {}
        std::shared_ptr<base::Event> known;
        base::Result<void> result = base::Error{base::Errc::timed_out, "the peers do not answer"};
    };
    constexpr auto wait = [](objstore::WorkingTree* on, std::shared_ptr<Outcome> out) -> base::Task<void> {
        out->result = co_await on->commit();
        out->known->set();
    };
    const auto outcome = std::make_shared<Outcome>(env.executor);
    base::TaskGroup group{env.executor};
    group.spawn(wait(tree, outcome));
    co_await base::wait_until(env.clock, outcome->known, until);
    group.cancel();
    co_await group.join();
    co_return outcome->result;
}

/// Asked to stop: nothing that was changed is lost by it. `tree`: null where nothing is.
base::Task<void> unmount_when(base::NodeEnv env, std::shared_ptr<base::Event> stopped, objstore::WorkingTree* tree,
                              fusefs::Mount* mount) {
    co_await stopped->wait();
    // What is not durable afterwards is tried again once nobody can change more.
    if (tree != nullptr) (void)co_await commit_by(env, tree, env.clock.now() + kTryAgain);
    co_await mount->unmount();
}

std::string unstored(const objstore::WorkingTree& tree) {
    const auto now = tree.statistics();
    return "the last changes (of " + plural(now.dirty_inodes, "file or directory", "files and directories") + ", " +
           human_size(now.dirty_bytes) + " of content)";
}

/// Nobody can change more. Tries until it is stored; asked to stop, until nothing of it has moved for `leaving.timeout`
/// (a second signal ends the process).
base::Task<base::Result<void>> store_the_rest(base::NodeEnv env, objstore::WorkingTree* tree,
                                              std::shared_ptr<base::Event> stopped, Leaving leaving) {
    const bool for_ever = leaving.timeout == base::Duration::zero();
    bool told = false;
    std::uint64_t most_put = 0;  // by one attempt: what each of them puts anew is no news
    std::uint64_t least_dirty = UINT64_MAX;
    auto moved = env.clock.now();  // when there was news last, or we were asked to stop
    for (;;) {
        const auto next = env.clock.now() + kTryAgain;
        auto committed = co_await commit_by(env, tree, next);
        const auto now_is = tree->statistics();
        if (committed) co_return committed;
        if (now_is.dirty_inodes == 0) co_return base::ok();  // no more than atimes: nothing is lost
        const bool is_slow = now_is.bytes_put > most_put || now_is.dirty_bytes < least_dirty;
        if (!stopped->is_set() || is_slow) moved = env.clock.now();
        most_put = std::max(most_put, now_is.bytes_put);
        least_dirty = std::min(least_dirty, now_is.dirty_bytes);
        const auto text = "cannot store " + unstored(*tree) + " yet: " + committed.error().message();
        if (!stopped->is_set()) {
            if (!is_slow) env.log.write(base::Log::Level::warning, "mount", text);
            co_await base::wait_until(env.clock, stopped, next);
            continue;
        }
        if (!is_slow && !std::exchange(told, true)) {
            moved = env.clock.now();
            const auto seconds = std::to_string(leaving.timeout / std::chrono::seconds{1});
            leaving.warn(text + "; it is tried " + (for_ever ? "for ever" : "for " + seconds + " s") +
                         ", another signal ends it and they are lost");
        }
        if (!for_ever && env.clock.now() >= moved + leaving.timeout) co_return committed;
        co_await env.clock.sleep_until(next);
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
    group.spawn(unmount_when(env, stopped, &tree, &mount));
    co_await mount.serve(files);
    const auto committed = co_await store_the_rest(env, &tree, stopped, leaving);
    // Said here: of a command that was asked to stop no more is told than that it was interrupted.
    if (!committed) leaving.warn("lost " + unstored(tree) + ": " + committed.error().message());
    co_await tree.abandon();
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
    group.spawn(unmount_when(env, asked.event, nullptr, &mount));
    co_await mount.serve(files);
    group.cancel();
    co_await group.join();
    co_return base::ok();
}

}  // namespace tools
