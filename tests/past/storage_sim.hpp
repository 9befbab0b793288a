// PAST's storage management without a network: peers with ids and capacities, files that come one after another, and
// who takes each copy by the rules that ship (past/src/divert/diversion.hpp).
//
// Paper: Rowstron & Druschel, SOSP 2001, sections 3 and 5.1. Its log of files is not to be had: sizes are drawn from
// one of two models, and what a result owes to its model is said in docs/papers.md. Leaf sets are exact, nobody fails.
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "divert/diversion.hpp"

namespace past::test {

constexpr std::uint64_t kMiB = 1U << 20U;  // the paper's MB: 1,863,055 files of 10,517 bytes are its 18.7 GB only so

/// Uniform numbers, the same on every machine.
class Draw {
  public:
    /// Of one `seed`, each `stream` is another sequence.
    Draw(std::uint64_t seed, std::uint64_t stream) : engine_{seed * 1'000'003 + stream} {}
    [[nodiscard]] std::uint64_t word() { return engine_(); }
    [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return engine_() % bound; }
    /// In (0, 1].
    [[nodiscard]] double unit() { return (static_cast<double>(engine_() >> 11U) + 1.0) * 0x1.0p-53; }
    [[nodiscard]] double normal();

  private:
    std::mt19937_64 engine_;
};

/// How large files are. Both have about the mean (10.5 kB) and median (1.3 kB) of the paper's 1,863,055 files.
enum class Sizes : std::uint8_t {
    tail,       ///< lognormal(median 1,270; 1.5), and 1.78 % Pareto(1.05) from 50 kB to 138 MB
    lognormal,  ///< lognormal(median 1,312; 2.04)
};
[[nodiscard]] std::uint64_t draw_size(Draw& draw, Sizes sizes);

struct StorageOptions {
    std::size_t peers = 2250;
    std::size_t leaf_set = 32;  ///< l: half on each side
    unsigned copies = 5;        ///< k
    DiversionThresholds thresholds;
    unsigned resalts = 3;           ///< of a file that was refused: PAST's file diversion
    std::uint64_t block_bytes = 0;  ///< 0: a file is stored as a whole, all copies or none. Else as ours: cut into
                                    ///< blocks, each kept if a majority of its copies is; a holder keeps what nobody
                                    ///< takes and still fits, and asks at most divert_tries neighbours
    std::size_t strangers = 0;  ///< with blocks: peers anywhere that are asked for room, last of all; the default of
                                ///< Config::divert_strangers is 32
    std::vector<base::NodeId> ids;  ///< of the peers; empty: at random
    std::uint64_t seed = 1;
};

struct StorageFigures {
    std::uint64_t files = 0, refused_files = 0, resalted_files = 0;
    std::uint64_t bytes = 0, refused_bytes = 0;
    std::uint64_t copies = 0, diverted_copies = 0;        ///< of what was kept
    std::uint64_t pieces = 0, refused_pieces = 0;         ///< files, or blocks
    std::uint64_t short_pieces = 0;                       ///< kept with fewer than k copies
    std::uint64_t capacity = 0, used = 0;                 ///< bytes of all peers
    double at_first_refusal = 1.0, at_first_short = 1.0;  ///< utilisation then; 1: never came to it

    [[nodiscard]] double utilisation() const { return share(used, capacity); }
    [[nodiscard]] static double share(std::uint64_t part, std::uint64_t whole) {
        return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
    }
};

class StorageModel {
  public:
    struct Copy {
        std::uint32_t peer = 0;
        std::uint32_t holder = 0;  ///< whom the copy belongs to: another, if it is diverted
        std::uint64_t bytes = 0;
        [[nodiscard]] bool diverted() const { return peer != holder; }
    };
    /// Capacities d1: normal, mean 27 MB, deviation 10.8, cut off at 2 and 51 MB; ids at random.
    explicit StorageModel(const StorageOptions& options);

    /// Returns the copies of the file, or nullopt if it was refused: then nothing of it stays.
    std::optional<std::vector<Copy>> insert(std::uint64_t size);
    [[nodiscard]] const StorageFigures& figures() const { return figures_; }

    [[nodiscard]] std::size_t peers() const { return peers_.size(); }
    [[nodiscard]] std::uint64_t free_bytes(std::size_t peer) const { return peers_[peer].capacity - peers_[peer].used; }
    /// Peers are numbered in the order of their ids.
    [[nodiscard]] const base::NodeId& id(std::size_t peer) const { return peers_[peer].id; }
    /// The key that the file inserted last was stored under.
    [[nodiscard]] const base::Guid& last_key() const { return last_key_; }

  private:
    struct Peer {
        std::uint64_t position = 0;  // on a ring of 2^64: the first eight bytes of its id
        base::NodeId id;
        std::uint64_t capacity = 0;
        std::uint64_t used = 0;
    };
    bool insert_whole(std::uint64_t size);
    bool insert_blocks(std::uint64_t size);
    std::size_t group(std::uint64_t key, std::uint64_t size, bool all_or_none);
    void find_holders(std::uint64_t key);
    [[nodiscard]] std::optional<std::uint32_t> neighbour_for(std::uint32_t holder, std::uint64_t size);
    [[nodiscard]] std::optional<std::uint32_t> stranger_for(std::uint64_t size);
    void add_candidate(std::size_t peer);
    [[nodiscard]] std::optional<std::uint32_t> choose(std::uint64_t size, const DiversionThresholds& thresholds) const;
    void keep(std::uint32_t peer, std::uint32_t holder, std::uint64_t bytes);
    void take_back(std::size_t from);
    [[nodiscard]] double utilisation() const { return figures_.utilisation(); }

    StorageOptions options_;
    Draw keys_;
    std::vector<Peer> peers_;
    std::vector<std::uint32_t> holders_;  // of the key in hand, nearest first
    std::vector<Copy> copies_;            // of the file in hand
    std::size_t first_copy_ = 0;          // of the piece in hand
    std::vector<DiversionCandidate> candidates_;
    base::Guid last_key_;
    StorageFigures figures_;
};

/// Offers `files` of the model's sizes, the same for every policy of a seed.
[[nodiscard]] StorageFigures offer_files(const StorageOptions& options, Sizes sizes, std::uint64_t files);

}  // namespace past::test
