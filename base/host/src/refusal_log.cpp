#include "refusal_log.hpp"

namespace base::host {

void RefusalLog::note(TimePoint now, const std::string& reason, const std::string& source) {
    ++total_;
    const auto key = std::pair{reason, source};
    const auto found = entries_.find(key);
    if (found != entries_.end() && now - found->second.since < kWindow) {
        ++found->second.silent;
        return;
    }
    if (entries_.size() >= kMaxEntries) expire(now);
    if (found == entries_.end() && entries_.size() >= kMaxEntries) {
        if (unlisted_++ == 0) {
            unlisted_since_ = now;
            log_.write(Log::Level::warning, "base", "refused connections from many sources; only counting from now on");
        }
        return;
    }
    auto& entry = entries_[key];
    auto line = "refused " + source + ": " + reason;
    if (entry.silent > 0) line += " (" + std::to_string(entry.silent) + " times more in the last hour)";
    log_.write(Log::Level::warning, "base", std::move(line));
    entry = {now, 0};
}

void RefusalLog::expire(TimePoint now) {
    std::erase_if(entries_, [now](const auto& item) { return now - item.second.since >= kWindow; });
    if (unlisted_ > 0 && now - unlisted_since_ >= kWindow) {
        log_.write(Log::Level::warning, "base", "refused " + std::to_string(unlisted_) + " further connections");
        unlisted_ = 0;
    }
}

}  // namespace base::host
