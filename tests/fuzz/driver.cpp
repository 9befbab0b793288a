// Runs a fuzz target without libFuzzer: each file of the given folders, then seeded mutations of them.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;
constexpr int kMutations = 4000;
constexpr std::size_t kLongestRandom = 512;

std::vector<Input> read_corpus(int count, char** folders) {
    std::vector<std::filesystem::path> paths;
    for (int i = 0; i < count; ++i) {
        if (!std::filesystem::is_directory(folders[i])) continue;
        for (const auto& entry : std::filesystem::directory_iterator{folders[i]}) paths.push_back(entry.path());
    }
    std::ranges::sort(paths);
    std::vector<Input> corpus{Input{}};
    for (const auto& path : paths) {
        std::ifstream in{path, std::ios::binary};
        corpus.emplace_back(std::istreambuf_iterator<char>{in}, std::istreambuf_iterator<char>{});
    }
    return corpus;
}

Input mutate(Input input, std::mt19937_64& random) {
    const auto edits = 1 + random() % 4;
    for (std::uint64_t i = 0; i < edits; ++i) {
        const auto at = input.empty() ? 0 : random() % input.size();
        switch (random() % 5) {
            case 0:
                if (!input.empty()) input[at] ^= static_cast<std::uint8_t>(1U << random() % 8);
                break;
            case 1:
                if (!input.empty()) input[at] = static_cast<std::uint8_t>(random() % 3 == 0 ? 0xff : random());
                break;
            case 2: input.resize(at); break;
            case 3: input.insert(input.begin() + static_cast<std::ptrdiff_t>(at), 1 + random() % 8, 0x80); break;
            case 4: {
                const auto length = random() % kLongestRandom;
                for (std::uint64_t n = 0; n < length; ++n) input.push_back(static_cast<std::uint8_t>(random()));
                break;
            }
        }
    }
    return input;
}

}  // namespace

int main(int argc, char** argv) {
    const auto corpus = read_corpus(argc - 1, argv + 1);
    for (const auto& input : corpus) LLVMFuzzerTestOneInput(input.data(), input.size());
    std::mt19937_64 random{1};
    for (int i = 0; i < kMutations; ++i) {
        const auto input = mutate(corpus[random() % corpus.size()], random);
        LLVMFuzzerTestOneInput(input.data(), input.size());
    }
    std::printf("%zu inputs and %d mutations: no crash\n", corpus.size(), kMutations);
    return 0;
}
