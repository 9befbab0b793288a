// Says that somebody was refused: once an hour for each reason and source, however often they come back.
#pragma once

#include <map>
#include <string>
#include <utility>

#include "base/clock.hpp"
#include "base/log.hpp"

namespace base::host {

class RefusalLog {
  public:
    static constexpr Duration kWindow = std::chrono::hours{1};
    /// More than these in one window are counted, not listed: an attacker makes keys and addresses for nothing.
    static constexpr std::size_t kMaxEntries = 256;

    explicit RefusalLog(Log& log) : log_{log} {}

    /// `reason` and `source` (a node id or an address) say who was refused why. Writes a line the first time in an
    /// hour; the next line says how often it happened since.
    void note(TimePoint now, const std::string& reason, const std::string& source);
    [[nodiscard]] std::uint64_t total() const { return total_; }

  private:
    struct Entry {
        TimePoint since;
        std::uint64_t silent = 0;  // times since the line
    };
    void expire(TimePoint now);

    Log& log_;
    std::map<std::pair<std::string, std::string>, Entry> entries_;
    std::uint64_t unlisted_ = 0;
    TimePoint unlisted_since_{};
    std::uint64_t total_ = 0;
};

}  // namespace base::host
