// One scenario over many seeds. Without GoogleTest: pelago-sim runs campaigns too (testing.hpp has the macro).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/sim/world.hpp"

namespace base::sim {

struct Campaign {
    std::uint64_t seeds = 20;
    std::uint64_t first_seed = 1;
    WorldOptions world;
};

/// PELAGO_SEED=n runs that seed alone; PELAGO_SEEDS=n that many seeds. Unset leaves `campaign` as it is.
[[nodiscard]] Campaign with_environment(Campaign campaign);

/// Why a seed failed.
struct SeedFailure {
    std::uint64_t seed = 0;
    std::string reason;
};

struct CampaignResult {
    std::uint64_t seeds_run = 0;
    Duration simulated{};     ///< virtual time, all seeds together
    double node_seconds = 0;  ///< virtual time x nodes
    std::uint64_t events = 0;
    std::map<std::string, std::uint64_t, std::less<>> harms;
    std::optional<SeedFailure> failure;  ///< the first; the campaign ends there
};

/// Runs `body` in a fresh World a seed. It fails by throwing, or when `failed()` (if given) says so afterwards. One
/// seed in ten runs twice, and both traces must be equal.
[[nodiscard]] CampaignResult run_campaign(const Campaign& campaign, const std::function<void(World&)>& body,
                                          const std::function<bool()>& failed = {});

}  // namespace base::sim
