// PAST's storage management, measured: utilisation, refused files and bytes, diverted copies, without diversion, with
// the paper's and with ours, for both models of file sizes.
//
//     past_storage_bench [seeds = 3] [peers = 2250]
//
// Prints the tables of docs/papers.md#storage-management. Files are offered until k copies of all would be 1.53 times
// the capacity, as in the paper (1,863,055 files at k = 5). About a second a row and seed.
#include <cstdio>
#include <string>

#include "past/storage_sim.hpp"

namespace past::test {
namespace {

constexpr std::uint64_t kFiles = 1'863'055;

struct Policy {
    std::string name;
    StorageOptions options;
};

StorageOptions files_of(std::size_t leaf_set, double primary, double diverted, unsigned resalts) {
    StorageOptions options;
    options.leaf_set = leaf_set;
    options.thresholds = {primary, diverted};
    options.resalts = resalts;
    return options;
}
StorageOptions blocks_of(std::size_t leaf_set, unsigned copies, std::uint64_t bytes, std::size_t strangers) {
    auto options = files_of(leaf_set, 0.1, 0.05, 0);
    options.copies = copies;
    options.block_bytes = bytes;
    options.strangers = strangers;
    return options;
}

void print_head(const char* title) {
    std::printf("\n%s\n%-34s %6s %9s %9s %9s %9s %9s %9s %9s %9s\n", title, "policy", "util%", "files-%", "bytes-%",
                "resalt%", "divert%", "first-", "first<k", "short%", "pieces-%");
}

void print_row(const Policy& policy, Sizes sizes, std::uint64_t seeds, std::size_t peers) {
    double sum[9] = {};
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        auto options = policy.options;
        options.seed = seed;
        options.peers = peers;
        const auto files = kFiles * peers / 2250 * 5 / options.copies;
        const auto f = offer_files(options, sizes, files);
        const auto share = &StorageFigures::share;
        const double row[9] = {f.utilisation(),
                               share(f.refused_files, f.files),
                               share(f.refused_bytes, f.bytes),
                               share(f.resalted_files, f.files - f.refused_files),
                               share(f.diverted_copies, f.copies),
                               f.at_first_refusal,
                               f.at_first_short,
                               share(f.short_pieces, f.pieces - f.refused_pieces),
                               share(f.refused_pieces, f.pieces)};
        for (int i = 0; i < 9; ++i) sum[i] += 100 * row[i] / static_cast<double>(seeds);
    }
    std::printf("%-34s %6.2f", policy.name.c_str(), sum[0]);
    for (int i = 1; i < 9; ++i) std::printf(" %9.3f", sum[i]);
    std::printf("\n");
    std::fflush(stdout);
}

std::vector<Policy> policies() {
    std::vector<Policy> all{{"no diversion", files_of(16, 1.0, 0.0, 0)}};
    for (const std::size_t leaf_set : {16U, 32U}) {
        const auto l = ", l = " + std::to_string(leaf_set);
        all.push_back({"PAST, no re-salting" + l, files_of(leaf_set, 0.1, 0.05, 0)});
        all.push_back({"PAST" + l, files_of(leaf_set, 0.1, 0.05, 3)});
        for (const unsigned copies : {5U, 3U}) {
            const auto k = ", k = " + std::to_string(copies) + l;
            all.push_back({"leaf set only, 1 MiB" + k, blocks_of(leaf_set, copies, kMiB, 0)});
            all.push_back({"leaf set only, 64 KiB" + k, blocks_of(leaf_set, copies, kMiB / 16, 0)});
            all.push_back({"ours, 1 MiB" + k, blocks_of(leaf_set, copies, kMiB, 32)});
            all.push_back({"ours, 64 KiB" + k, blocks_of(leaf_set, copies, kMiB / 16, 32)});
        }
    }
    return all;
}

std::vector<Policy> thresholds() {
    std::vector<Policy> all;
    for (const double primary : {0.5, 0.2, 0.1, 0.05}) {
        all.push_back({"t_pri " + std::to_string(primary).substr(0, 5), files_of(32, primary, 0.05, 3)});
    }
    for (const double diverted : {0.1, 0.05, 0.01, 0.005}) {
        all.push_back({"t_div " + std::to_string(diverted).substr(0, 5), files_of(32, 0.1, diverted, 3)});
    }
    return all;
}

void run(std::uint64_t seeds, std::size_t peers) {
    std::printf("%llu seeds, %zu peers\n", static_cast<unsigned long long>(seeds), peers);
    for (const auto sizes : {Sizes::tail, Sizes::lognormal}) {
        print_head(sizes == Sizes::tail ? "lognormal with a Pareto tail" : "lognormal");
        for (const auto& policy : policies()) print_row(policy, sizes, seeds, peers);
    }
    print_head("thresholds: PAST, k = 5, l = 32, lognormal with a Pareto tail");
    for (const auto& policy : thresholds()) print_row(policy, Sizes::tail, seeds, peers);
}

}  // namespace
}  // namespace past::test

int main(int argc, char** argv) {
    const std::uint64_t seeds = argc > 1 ? std::stoul(argv[1]) : 3;
    const std::size_t peers = argc > 2 ? std::stoul(argv[2]) : 2250;
    past::test::run(seeds, peers);
}
