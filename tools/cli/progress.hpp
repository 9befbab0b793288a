// How far a command is: a bar with rate, amount and time left on a terminal, status objects with --json, now and then a
// line elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "cli/console.hpp"

namespace tools {

/// Totals are unknown while the end is still being looked for.
struct ProgressState {
    std::uint64_t files_done = 0;
    std::uint64_t bytes_done = 0;
    std::uint64_t bytes_passed_over = 0;  ///< of those: without work, no part of the rate
    std::optional<std::uint64_t> files_total;
    std::optional<std::uint64_t> bytes_total;
    std::string current;  ///< what is worked on
};

/// One line of at most `columns`, e.g.
///   "[#######.....]  58 %  1.2 GiB of 2.1 GiB  98.3 MiB/s  0:09 left  1 234 files"
[[nodiscard]] std::string progress_line(const ProgressState& state, double bytes_per_second,
                                        std::chrono::seconds elapsed, unsigned columns);

/// Bytes a second over the last seconds, not since the beginning: what the time left is guessed from.
class RateMeter {
  public:
    using Time = std::chrono::steady_clock::time_point;
    void add(Time now, std::uint64_t bytes_done);
    [[nodiscard]] double bytes_per_second() const { return rate_; }

  private:
    std::optional<Time> last_;
    std::uint64_t last_bytes_ = 0;
    double rate_ = 0;
};

/// Called as often as the work likes, from one thread at a time.
class Progress {
  public:
    using Clock = std::function<std::chrono::steady_clock::time_point()>;
    /// `what` is the message_type's "action" for --json: "backup".
    Progress(Console& console, std::string what, Clock clock = std::chrono::steady_clock::now);
    ~Progress();
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void update(const ProgressState& state);
    /// Draws the last state again, if that is due: the work waits, and the watcher sees that it is alive.
    void tick();
    [[nodiscard]] std::chrono::nanoseconds elapsed() const { return clock_() - begin_; }

  private:
    void draw(std::chrono::steady_clock::time_point now);

    Console& console_;
    ProgressState state_;
    std::string what_;
    Clock clock_;
    std::chrono::steady_clock::time_point begin_;
    std::chrono::steady_clock::time_point next_;
    RateMeter rate_;
};

}  // namespace tools
