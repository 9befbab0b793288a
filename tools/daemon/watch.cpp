#include "daemon/watch.hpp"

#include "cli/text.hpp"

namespace tools {

namespace {

constexpr std::chrono::seconds kPeriod{2};
constexpr std::chrono::seconds kSpan{60};
constexpr std::uint64_t kFewBytes = 1U << 20U;  // in a span: no rate of anything
constexpr const char* kChannel = "daemon";

}  // namespace

base::Task<void> Watch::run() {
    for (;;) {
        look();
        co_await env_.clock.sleep_for(kPeriod);
    }
}

void Watch::look() {
    look_at_neighbours();
    look_at_copies();
}

void Watch::look_at_neighbours() {
    std::map<base::NodeId, std::string> now;
    for (const auto& node : stack_.overlay().neighbours()) now.emplace(node.id(), node.address.endpoint);
    for (const auto& gone : stack_.overlay().absent()) {
        const auto& id = gone.node.id();
        if (!neighbours_.contains(id) || now.contains(id)) continue;
        lost_[id] = gone.node.address.endpoint;
        env_.log.write(base::Log::Level::warning, kChannel,
                       "lost neighbour " + id.short_hex() + " at " + gone.node.address.endpoint +
                           ": its copies are made again if it stays away for " +
                           human_duration(std::chrono::duration_cast<std::chrono::seconds>(
                               stack_.network().policy().repair_after)));
    }
    for (const auto& [id, endpoint] : now) {
        if (lost_.erase(id) == 0) continue;
        env_.log.write(base::Log::Level::info, kChannel,
                       "neighbour " + id.short_hex() + " at " + endpoint + " is back");
    }
    constexpr std::size_t kMostLost = 1024;
    if (lost_.size() > kMostLost) lost_.clear();
    neighbours_ = std::move(now);
}

void Watch::look_at_copies() {
    const auto status = stack_.past().status();
    const auto now = env_.clock.now();
    sent_.push_back({now, status.bytes_repaired + status.bytes_handed_over});
    while (now - sent_.front().at > kSpan) sent_.pop_front();
    if (status.blocks_short > 0 && !short_since_) {
        short_since_ = now;
        env_.log.write(base::Log::Level::warning, kChannel,
                       plural(status.blocks_short, "block has", "blocks have") + " fewer copies than " +
                           (status.blocks_short == 1 ? "it" : "they") + " should");
    }
    if (!short_since_ || status.blocks_short > 0 || status.blocks_unchecked > 0) return;
    env_.log.write(base::Log::Level::info, kChannel,
                   "every block has all its copies again, after " +
                       human_duration(std::chrono::duration_cast<std::chrono::seconds>(now - *short_since_)));
    short_since_.reset();
}

std::uint64_t Watch::repair_bytes_per_second() const {
    if (sent_.size() < 2) return 0;
    const auto moved = sent_.back().bytes - sent_.front().bytes;
    if (moved < kFewBytes) return 0;
    const auto span = std::chrono::duration<double>(sent_.back().at - sent_.front().at).count();
    return static_cast<std::uint64_t>(static_cast<double>(moved) / span);
}

}  // namespace tools
