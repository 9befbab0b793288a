// Lines to standard error, to the journal, or to a file.
#pragma once

#include <memory>
#include <string>

#include "base/log.hpp"
#include "base/result.hpp"

namespace base::host {

/// One line each: "2026-01-31T12:00:00.123Z warning pastry: text". Under systemd (standard error is the journal) the
/// time is left to the journal and the level becomes its "<4>" prefix. Control characters in a text, which may quote a
/// peer, are written as \xNN: nobody forges a line.
class HostLog final : public Log {
  public:
    /// To standard error.
    explicit HostLog(Level lowest = Level::info);
    ~HostLog() override;
    HostLog(const HostLog&) = delete;
    HostLog& operator=(const HostLog&) = delete;

    /// Appends to a file (0600), flushed line by line; made if absent.
    static Result<std::unique_ptr<HostLog>> to_file(const std::string& path, Level lowest = Level::info);

    void write(Level level, const char* channel, std::string text) override;
    [[nodiscard]] bool enabled(Level level) const noexcept override;

  private:
    struct Sink;
    explicit HostLog(std::unique_ptr<Sink> sink);
    std::unique_ptr<Sink> sink_;
};

}  // namespace base::host
