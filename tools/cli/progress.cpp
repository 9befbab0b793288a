#include "cli/progress.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cli/text.hpp"

namespace tools {

namespace {

using namespace std::chrono_literals;

constexpr auto kFirstDraw = 500ms;  // what ends sooner needs no bar
constexpr auto kRedraw = 100ms;
constexpr auto kJsonInterval = 1000ms;  // a line a second is enough for a program
constexpr auto kLogInterval = 10s;      // and fewer do for a log
constexpr double kMemory = 5.0;         // seconds over which the rate is averaged
constexpr unsigned kBar = 24;

/// Between two draws.
std::chrono::milliseconds interval(const Console& console) {
    if (console.draws()) return kRedraw;
    return console.output().json ? kJsonInterval : kLogInterval;
}

std::string bar(double share) {
    const auto filled = static_cast<unsigned>(std::lround(share * kBar));
    return "[" + std::string(filled, '#') + std::string(kBar - filled, '.') + "]";
}

double share_done(const ProgressState& state) {
    if (!state.bytes_total || *state.bytes_total == 0) return 0;
    return std::min(1.0, static_cast<double>(state.bytes_done) / static_cast<double>(*state.bytes_total));
}

/// A total that was passed (a file grew) was none.
bool is_known(const ProgressState& state) { return state.bytes_total && *state.bytes_total >= state.bytes_done; }

nlohmann::json status_object(const std::string& what, const ProgressState& state, double rate, double seconds) {
    nlohmann::json object{{"message_type", "status"},       {"action", what},
                          {"seconds_elapsed", seconds},     {"files_done", state.files_done},
                          {"bytes_done", state.bytes_done}, {"bytes_per_second", std::llround(rate)}};
    if (state.files_total) object["total_files"] = *state.files_total;
    if (is_known(state)) {
        object["total_bytes"] = *state.bytes_total;
        object["percent_done"] = share_done(state);
    }
    if (!state.current.empty()) object["current_files"] = {state.current};
    return object;
}

}  // namespace

std::string progress_line(const ProgressState& state, double bytes_per_second, std::chrono::seconds elapsed,
                          unsigned columns) {
    std::string line;
    if (is_known(state)) {
        const double share = share_done(state);
        line = fmt::format("{} {:3.0f} %  {} of {}", bar(share), std::floor(share * 100), human_size(state.bytes_done),
                           human_size(*state.bytes_total));
    } else {
        line = fmt::format("[{}]  {}", human_duration(elapsed), human_size(state.bytes_done));
    }
    if (line.size() > columns) return line.substr(0, columns);

    // What does not fit is left out whole, the least important last.
    const auto add = [&](const std::string& piece) {
        if (line.size() + 2 + piece.size() <= columns) line += "  " + piece;
    };
    add(human_size(static_cast<std::uint64_t>(bytes_per_second)) + "/s");
    const double left = is_known(state) && bytes_per_second >= 1
                            ? static_cast<double>(*state.bytes_total - state.bytes_done) / bytes_per_second
                            : 0;
    if (left >= 0.5) {  // what is over at once needs no clock
        add(human_duration(std::chrono::seconds{std::llround(std::min(left, 3.6e6))}) + " left");
    }
    add(plural(state.files_done, "file", "files"));
    if (!state.current.empty() && columns > line.size() + 12) {
        line += "  " + shorten(printable(state.current), columns - line.size() - 2);
    }
    return line;
}

void RateMeter::add(Time now, std::uint64_t bytes_done) {
    if (last_) {
        const double seconds = std::chrono::duration<double>(now - *last_).count();
        if (seconds <= 0) return;
        const double here = bytes_done > last_bytes_ ? static_cast<double>(bytes_done - last_bytes_) / seconds : 0;
        const double weight = rate_ == 0 ? 1 : 1 - std::exp(-seconds / kMemory);
        rate_ += weight * (here - rate_);
    }
    last_ = now;
    last_bytes_ = bytes_done;
}

Progress::Progress(Console& console, std::string what, Clock clock)
    : console_{console},
      what_{std::move(what)},
      clock_{std::move(clock)},
      begin_{clock_()},
      next_{begin_ + (console_.draws() ? kFirstDraw : interval(console_))} {
    rate_.add(begin_, 0);
}

Progress::~Progress() { console_.status(""); }

void Progress::update(const ProgressState& state) {
    state_ = state;
    tick();
}

void Progress::tick() {
    const auto now = clock_();
    if (now >= next_) draw(now);
}

void Progress::draw(std::chrono::steady_clock::time_point now) {
    next_ = now + interval(console_);
    rate_.add(now, state_.bytes_done - std::min(state_.bytes_passed_over, state_.bytes_done));
    const auto seconds = now - begin_;
    if (console_.output().json && !console_.output().quiet) {
        console_.print_json(
            status_object(what_, state_, rate_.bytes_per_second(), std::chrono::duration<double>(seconds).count()));
        return;
    }
    const auto line = progress_line(state_, rate_.bytes_per_second(),
                                    std::chrono::duration_cast<std::chrono::seconds>(seconds), console_.columns() - 1);
    if (console_.draws()) {
        console_.status(line);
    } else {
        console_.note(line);
    }
}

}  // namespace tools
