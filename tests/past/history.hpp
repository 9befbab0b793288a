// What clients of a register saw, and whether one register could have shown it to them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace past::test {

/// Times are those of the world, so they compare across nodes.
struct Operation {
    enum class Kind { read, write } kind = Kind::read;
    enum class Outcome { pending, done, conflict, unknown } outcome = Outcome::pending;
    base::TimePoint begun;
    base::TimePoint ended;
    std::uint64_t sequence = 0;  ///< read, or written; 0 = there is none
    std::string text;            ///< likewise; every write has its own
};

/// "" if the history is that of one register with compare-and-set: sequences rise by one, each has one body; whoever
/// begins after an operation ended sees what that saw or a later state; a conflict means that another was faster.
[[nodiscard]] std::string check_history(const std::vector<Operation>& history);

}  // namespace past::test
