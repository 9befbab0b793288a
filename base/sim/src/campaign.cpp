#include "base/sim/campaign.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <exception>

namespace base::sim {

namespace {

std::optional<std::uint64_t> number_in_environment(const char* name) {
    const char* text = std::getenv(name);
    if (text == nullptr) return std::nullopt;
    const std::string_view digits{text};
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return value;
}

constexpr std::uint64_t kRunTwiceEvery = 10;

/// "" or what went wrong. Adds the run to `result`.
std::string run_seed(const Campaign& campaign, std::uint64_t seed, const std::function<void(World&)>& body,
                     const std::function<bool()>& failed, CampaignResult& result, std::uint64_t& trace) {
    World world{seed, campaign.world};
    std::string reason;
    try {
        body(world);
        if (failed && failed()) reason = "an expectation failed";
    } catch (const std::exception& error) {
        reason = error.what();
    }
    trace = world.trace_hash();
    result.simulated += world.elapsed();
    result.node_seconds += std::chrono::duration<double>(world.elapsed()).count() * static_cast<double>(world.size());
    result.events += world.events();
    for (const auto& [name, count] : world.harms()) result.harms[name] += count;
    return reason;
}

}  // namespace

Campaign with_environment(Campaign campaign) {
    if (const auto seed = number_in_environment("PELAGO_SEED")) {
        campaign.first_seed = *seed;
        campaign.seeds = 1;
    } else if (const auto seeds = number_in_environment("PELAGO_SEEDS")) {
        campaign.seeds = *seeds;
    }
    return campaign;
}

CampaignResult run_campaign(const Campaign& campaign, const std::function<void(World&)>& body,
                            const std::function<bool()>& failed) {
    CampaignResult result;
    for (std::uint64_t seed = campaign.first_seed; seed < campaign.first_seed + campaign.seeds; ++seed) {
        std::uint64_t trace = 0;
        auto reason = run_seed(campaign, seed, body, failed, result, trace);
        ++result.seeds_run;
        if (reason.empty() && seed % kRunTwiceEvery == 0) {
            std::uint64_t again = 0;
            reason = run_seed(campaign, seed, body, failed, result, again);
            if (reason.empty() && again != trace) {
                reason = fmt::format("two runs differ (trace {:016x} and {:016x}): something is not deterministic",
                                     trace, again);
            }
        }
        if (reason.empty()) continue;
        result.failure = SeedFailure{seed, std::move(reason)};
        break;
    }
    return result;
}

}  // namespace base::sim
