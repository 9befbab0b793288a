#include "base/host/host_clock.hpp"

#include <time.h>

#include <boost/asio/steady_timer.hpp>
#include <map>
#include <unordered_map>
#include <utility>

namespace base::host {

namespace {

std::int64_t read_clock(clockid_t clock) noexcept {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

Clock::time_point steady_now() noexcept { return Clock::time_point{Duration{read_clock(CLOCK_MONOTONIC)}}; }

}  // namespace

/// Shared with the loop's timer, whose handler may be queued already when the clock goes away.
struct HostClock::State : std::enable_shared_from_this<State> {
    using Place = std::pair<time_point, TimerId>;  // timers of one instant are called in the order they were set

    explicit State(Executor executor) : timer{std::move(executor)} {}

    void arm() {
        if (firing) return;  // fire() arms once, at its end
        if (timers.empty()) {
            if (armed_for) timer.cancel();
            armed_for.reset();
            return;
        }
        const auto first = timers.begin()->first.first;
        if (armed_for && *armed_for <= first) return;  // an early wake-up is cheaper than re-arming on every cancel
        armed_for = first;
        // Waits are bounded because now + remaining must not overflow; a wake-up that finds nothing due re-arms.
        const auto wait = std::min<Duration>(first - steady_now(), std::chrono::hours{24});
        timer.expires_after(std::max(wait, Duration::zero()));
        timer.async_wait([state = shared_from_this()](const boost::system::error_code& error) {
            if (!error) state->fire();
        });
    }

    void fire() {
        armed_for.reset();
        firing = true;
        const auto now = steady_now();
        // Timers that a callback sets for "now" wait for the next turn of the loop, lest they starve the sockets.
        const TimerId newest = next_id;
        auto place = timers.begin();
        while (!stopped && place != timers.end() && place->first.first <= now) {
            if (place->first.second >= newest) {
                ++place;
                continue;
            }
            auto callback = std::move(place->second);
            when_of.erase(place->first.second);
            timers.erase(place);
            callback();
            place = timers.begin();
        }
        firing = false;
        if (!stopped) arm();
    }

    boost::asio::steady_timer timer;
    std::map<Place, Callback> timers;
    std::unordered_map<TimerId, time_point> when_of;
    std::optional<time_point> armed_for;
    TimerId next_id = 1;
    bool firing = false;
    bool stopped = false;
};

HostClock::HostClock(Executor executor) : state_{std::make_shared<State>(std::move(executor))} {}

HostClock::~HostClock() {
    state_->stopped = true;
    state_->timer.cancel();
    // Dropping a callback may drop a coroutine that cancels its own timers: take the map out of their reach first.
    const auto timers = std::exchange(state_->timers, {});
    state_->when_of.clear();
}

Clock::time_point HostClock::now() const noexcept { return steady_now(); }

std::int64_t HostClock::wall_ns() const noexcept { return read_clock(CLOCK_REALTIME); }

Clock::TimerId HostClock::schedule(time_point when, Callback callback) {
    const TimerId id = state_->next_id++;
    state_->timers.emplace(State::Place{when, id}, std::move(callback));
    state_->when_of.emplace(id, when);
    state_->arm();
    return id;
}

bool HostClock::cancel(TimerId timer) {
    const auto found = state_->when_of.find(timer);
    if (found == state_->when_of.end()) return false;
    const State::Place place{found->second, timer};
    state_->when_of.erase(found);
    const auto callback = state_->timers.extract(place);  // dropped last: it may own what calls us again
    state_->arm();
    return true;
}

}  // namespace base::host
