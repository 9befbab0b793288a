// A point in time as file systems hold it: further from 1970 than nanoseconds in 64 bits reach (1677 to 2262).
#pragma once

#include <compare>
#include <cstdint>

namespace base {

constexpr std::uint32_t kNanosecondsPerSecond = 1'000'000'000;

struct Timestamp {
    std::int64_t seconds = 0;       ///< since 1970 UTC, rounded down
    std::uint32_t nanoseconds = 0;  ///< after that second: below kNanosecondsPerSecond

    [[nodiscard]] static constexpr Timestamp from_ns(std::int64_t ns) {
        const std::int64_t whole = ns / kNanosecondsPerSecond;
        const std::int64_t rest = ns % kNanosecondsPerSecond;
        return rest < 0 ? Timestamp{whole - 1, static_cast<std::uint32_t>(rest + kNanosecondsPerSecond)}
                        : Timestamp{whole, static_cast<std::uint32_t>(rest)};
    }
    friend constexpr auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

}  // namespace base
