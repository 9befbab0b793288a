// What moves between peers while a cluster changes: the stories of tests/past/change.hpp at their full length, as one
// table (docs/simulation.md#change).
//
//     change_bench [story] [seed = 1]
#include <cstdio>
#include <ctime>
#include <string>

#include "past/change.hpp"

namespace past::test {
namespace {

struct Named {
    const char* name;
    bool writes;
    void (*run)(Story&);
    base::Duration rest = 2h;
};

constexpr auto kHour = std::chrono::hours{1};

const std::vector<Named>& stories() {
    static const std::vector<Named> all{
        {"flap", false, [](Story& story) { flap(story, kHour); }},
        {"flap, writing", true, [](Story& story) { flap(story, kHour); }},
        {"restarts everywhere", false, [](Story& story) { restart_everywhere(story, kHour); }},
        {"restarts everywhere, writing", true, [](Story& story) { restart_everywhere(story, kHour); }},
        {"half as many join: 5 min", false, [](Story& story) { join_in_numbers(story, 5min); }, 0s},
        {"half as many join: 2 h", false, [](Story& story) { join_in_numbers(story, 2 * kHour); }},
        {"half as many join: 5 min, writing", true, [](Story& story) { join_in_numbers(story, 5min); }, 0s},
        {"half as many join: 2 h, writing", true, [](Story& story) { join_in_numbers(story, 2 * kHour); }},
        {"away for half", false, [](Story& story) { go_away(story, story.options.repair_after / 2, 30min); }},
        {"away for half, writing", true, [](Story& story) { go_away(story, story.options.repair_after / 2, 30min); }},
        {"away for 1.5, once", false, [](Story& story) { go_away(story, 90min, 30min); }},
        {"away for 1.5, five times", false,
         [](Story& story) {
             for (int i = 0; i < 5; ++i) go_away(story, 90min, 30min);
         }},
        {"visitors of 30 s, one old peer dies", false, [](Story& story) { come_and_go(story, 2 * kHour, 30s); }},
        {"visitors of 30 s, one old peer dies, writing", true,
         [](Story& story) { come_and_go(story, 2 * kHour, 30s); }},
        {"a newcomer flaps", false, [](Story& story) { newcomer_flaps(story, kHour, 60s); }, 0s},
        {"a newcomer flaps, writing", true, [](Story& story) { newcomer_flaps(story, kHour, 60s); }, 0s},
    };
    return all;
}

double seconds(base::Duration span) { return std::chrono::duration<double>(span).count(); }

void tell(const Named& named, std::uint64_t seed) {
    const auto begun = std::clock();
    sim::World world{seed};
    Story::Options options;
    options.write_every = named.writes ? base::Duration{2s} : base::Duration{};
    Story story{world, options};
    named.run(story);
    const auto changed = world.now();
    const auto control = story.control_bytes() - story.meter.moved() -
                         (story.meter.counts().put - story.cluster.options.copies * story.stored_bytes());
    const bool rest = named.rest == 0s || story.comes_to_rest(named.rest);
    const auto rested = world.now();
    const bool placed = named.rest == 0s || story.all_in_place(named.rest);
    const auto kb = [](std::uint64_t bytes) { return static_cast<double>(bytes) / 1000.0; };
    const auto node_seconds = static_cast<double>(story.options.peers) * seconds(changed - story.begun());
    std::printf("| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %zu | %zu | %zu | %s%.0f s | %s%.0f s | %.1f s |\n",
                named.name, kb(story.copies_bytes()), kb(story.written_bytes()), kb(story.meter.moved()),
                kb(story.meter.moved_to(story.options.peers)), static_cast<double>(control) / node_seconds,
                story.unreadable(), story.lost(), story.fewest_disks(), rest ? "" : "NOT in ",
                seconds(rested - changed), placed ? "" : "NOT in ", seconds(world.now() - changed),
                static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC);
    std::fflush(stdout);
}

}  // namespace
}  // namespace past::test

int main(int argc, char** argv) {
    using namespace past::test;
    const std::string only = argc > 1 ? argv[1] : "";
    const std::uint64_t seed = argc > 2 ? std::stoul(argv[2]) : 1;
    std::printf(
        "| story | copies kB | written kB | moved kB | to newcomers | control B/s a node | unreadable | lost | "
        "fewest disks | all copies after | in place after | CPU |\n");
    for (const auto& named : stories()) {
        if (only.empty() || std::string{named.name}.starts_with(only)) tell(named, seed);
    }
    return 0;
}
