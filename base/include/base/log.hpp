// Where a node says what happened. Above base nobody prints.
#pragma once

#include <string>

namespace base {

class Log {
  public:
    enum class Level { debug, info, warning, error };
    virtual ~Log() = default;
    /// One line. `channel` is the layer's name ("pastry"). Thread safe.
    virtual void write(Level level, const char* channel, std::string text) = 0;
    [[nodiscard]] virtual bool enabled(Level level) const noexcept = 0;
};

/// Drops everything.
[[nodiscard]] Log& silent_log();

}  // namespace base
