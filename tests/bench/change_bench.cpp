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

void tell(const Named& named, std::uint64_t seed) {
    const auto begun = std::clock();
    Story::Options options;
    options.seed = seed;
    options.write_every = named.writes ? base::Duration{2s} : base::Duration{};
    Story story{options};
    named.run(story);
    const auto changed = story.world.now();
    const bool rest = named.rest == 0s || story.comes_to_rest(named.rest);
    const auto kb = [](std::uint64_t bytes) { return static_cast<double>(bytes) / 1000.0; };
    const auto control = story.control_bytes() - story.meter.moved() -
                         (story.meter.counts().put - story.cluster.options.copies * story.stored_bytes());
    std::printf("| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %.0f | %zu | %zu | %zu | %s %.0f s | %.1f s |\n", named.name,
                kb(story.stored_bytes()), kb(story.written_bytes()), kb(story.meter.counts().repaired),
                kb(story.meter.counts().handed_over), kb(story.meter.moved_to(story.options.peers)), kb(control),
                story.unreadable(), story.lost(), story.fewest_disks(), rest ? "yes" : "NO",
                std::chrono::duration<double>(story.world.now() - changed).count(),
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
        "| story | stored kB | written kB | repaired kB | handed over kB | of these to newcomers | control kB | "
        "unreadable | lost | fewest disks | at rest | CPU |\n");
    for (const auto& named : stories()) {
        if (only.empty() || std::string{named.name}.starts_with(only)) tell(named, seed);
    }
    return 0;
}
