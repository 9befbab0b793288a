#include "base/host/host_log.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#include "base/error.hpp"

namespace base::host {

namespace {

/// systemd names the journal's stream as "device:inode" in $JOURNAL_STREAM; standard error may have been redirected
/// since (systemd.exec(5)).
bool stderr_is_journal() {
    const char* stream = std::getenv("JOURNAL_STREAM");
    struct stat status{};
    if (stream == nullptr || ::fstat(STDERR_FILENO, &status) != 0) return false;
    return fmt::format("{}:{}", status.st_dev, status.st_ino) == stream;
}

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7F) {
            out += fmt::format("\\x{:02x}", byte);
        } else {
            out += c;
        }
    }
    return out;
}

spdlog::level::level_enum level_of(Log::Level level) {
    switch (level) {
        case Log::Level::debug: return spdlog::level::debug;
        case Log::Level::info: return spdlog::level::info;
        case Log::Level::warning: return spdlog::level::warn;
        case Log::Level::error: return spdlog::level::err;
    }
    return spdlog::level::err;
}

/// sd-daemon(3): the kernel's priorities.
const char* journal_prefix(Log::Level level) {
    switch (level) {
        case Log::Level::debug: return "<7>";
        case Log::Level::info: return "<6>";
        case Log::Level::warning: return "<4>";
        case Log::Level::error: return "<3>";
    }
    return "<3>";
}

}  // namespace

struct HostLog::Sink {
    Sink(spdlog::sink_ptr sink, Level lowest_level, bool to_journal)
        : logger{"pelago", std::move(sink)}, lowest{lowest_level}, journal{to_journal} {
        if (journal) {
            logger.set_pattern("%v");
        } else {
            logger.set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
        }
        logger.set_level(level_of(lowest));
        logger.flush_on(spdlog::level::debug);                // a crash must not swallow its reason
        logger.set_error_handler([](const std::string&) {});  // a full log disk must not stop the node
    }

    spdlog::logger logger;
    Level lowest;
    bool journal;
};

HostLog::HostLog(Level lowest)
    : sink_{std::make_unique<Sink>(std::make_shared<spdlog::sinks::stderr_sink_mt>(), lowest, stderr_is_journal())} {}

HostLog::HostLog(std::unique_ptr<Sink> sink) : sink_{std::move(sink)} {}

HostLog::~HostLog() = default;

Result<std::unique_ptr<HostLog>> HostLog::to_file(const std::string& path, Level lowest) {
    const int descriptor = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return Error{from_errno(errno), path};
    ::close(descriptor);
    try {
        auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path);
        return std::unique_ptr<HostLog>{new HostLog{std::make_unique<Sink>(std::move(file), lowest, false)}};
    } catch (const spdlog::spdlog_ex& failure) {
        return Error{Errc::io_failed, failure.what()};
    }
}

void HostLog::write(Level level, const char* channel, std::string text) {
    if (!enabled(level)) return;
    const char* prefix = sink_->journal ? journal_prefix(level) : "";
    sink_->logger.log(level_of(level), "{}{}: {}", prefix, channel, printable(text));
}

bool HostLog::enabled(Level level) const noexcept { return level >= sink_->lowest; }

}  // namespace base::host
