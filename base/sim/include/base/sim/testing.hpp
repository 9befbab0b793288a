// SIMULATION(Name, .seeds = 50) { world.harm(...); ... EXPECT_...; }: a GoogleTest that is run with many seeds.
//
// Only tests include this (GoogleTest). The body gets `world`. A failure names the seed and the command that repeats
// it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/sim/campaign.hpp"
#include "base/sim/harm.hpp"

namespace base::sim {

/// The command that runs the current test again with this seed.
[[nodiscard]] inline std::string repeat_command(std::uint64_t seed) {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    const std::string name = test == nullptr ? "*" : std::string{test->test_suite_name()} + "." + test->name();
    return "PELAGO_SEED=" + std::to_string(seed) + " " + testing::internal::GetArgvs().front() +
           " --gtest_filter=" + name;
}

inline void run_simulation(Campaign campaign, void (*body)(World&)) {
    const auto result =
        run_campaign(with_environment(std::move(campaign)), body, [] { return testing::Test::HasFailure(); });
    if (!result.failure) return;
    ADD_FAILURE() << "seed " << result.failure->seed << ": " << result.failure->reason
                  << "\nrepeat: " << repeat_command(result.failure->seed);
}

}  // namespace base::sim

#define SIMULATION(name, ...)                                                                                       \
    static void simulation_##name(::base::sim::World& world);                                                       \
    TEST(Simulation, name) { ::base::sim::run_simulation(::base::sim::Campaign{__VA_ARGS__}, &simulation_##name); } \
    static void simulation_##name([[maybe_unused]] ::base::sim::World& world)
