#include "storage_sim.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>

#include "context.hpp"

namespace past::test {
namespace {

base::Guid guid_at(std::uint64_t position) {
    base::Guid::Array bytes{};
    for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<std::uint8_t>(position >> (56 - 8 * i));
    return base::Guid{bytes};
}

std::uint64_t position_of(const base::Guid& id) {
    std::uint64_t position = 0;
    for (std::size_t i = 0; i < 8; ++i) position = position << 8U | id.bytes()[i];
    return position;
}

std::uint64_t draw_capacity(Draw& draw) {
    for (;;) {
        const double megabytes = 27.0 + 10.8 * draw.normal();
        if (megabytes >= 2.0 && megabytes <= 51.0) return static_cast<std::uint64_t>(megabytes * double{kMiB});
    }
}

double lognormal(Draw& draw, double median, double deviation) { return median * std::exp(deviation * draw.normal()); }

/// Between `least` and `most`: by the inverse of its distribution.
double pareto(Draw& draw, double shape, double least, double most) {
    const double cut = 1.0 - std::pow(least / most, shape);
    return least / std::pow(1.0 - draw.unit() * cut, 1.0 / shape);
}

}  // namespace

double Draw::normal() {
    return std::sqrt(-2.0 * std::log(unit())) * std::cos(2.0 * std::numbers::pi * unit());  // Box & Muller
}

std::uint64_t draw_size(Draw& draw, Sizes sizes) {
    constexpr double kLargest = 138e6;
    double bytes = 0;
    if (sizes == Sizes::lognormal) {
        bytes = lognormal(draw, 1312, 2.04);
    } else {
        bytes = draw.unit() <= 0.0178 ? pareto(draw, 1.05, 50e3, kLargest) : lognormal(draw, 1270, 1.5);
    }
    return static_cast<std::uint64_t>(std::min(bytes, kLargest)) + 1;
}

StorageModel::StorageModel(const StorageOptions& options) : options_{options}, keys_{options.seed, 2} {
    Draw draw{options.seed, 1};
    std::map<std::uint64_t, base::NodeId> ids;
    for (const auto& id : options.ids) ids.emplace(position_of(id), id);
    while (ids.size() < options.peers) {
        const auto position = draw.word();
        ids.emplace(position, guid_at(position));
    }
    for (const auto& [position, id] : ids) {
        peers_.push_back({position, id, draw_capacity(draw), 0});
        figures_.capacity += peers_.back().capacity;
    }
}

std::optional<std::vector<StorageModel::Copy>> StorageModel::insert(std::uint64_t size) {
    copies_.clear();
    const bool kept = options_.block_bytes == 0 ? insert_whole(size) : insert_blocks(size);
    ++figures_.files;
    figures_.bytes += size;
    if (!kept) {
        ++figures_.refused_files;
        figures_.refused_bytes += size;
        return std::nullopt;
    }
    figures_.copies += copies_.size();
    figures_.diverted_copies += static_cast<std::uint64_t>(std::ranges::count_if(copies_, &Copy::diverted));
    return copies_;
}

bool StorageModel::insert_whole(std::uint64_t size) {
    ++figures_.pieces;
    for (unsigned salt = 0; salt <= options_.resalts; ++salt) {
        if (group(keys_.word(), size, /*all_or_none=*/true) < options_.copies) continue;
        if (salt > 0) ++figures_.resalted_files;
        return true;
    }
    figures_.at_first_refusal = std::min(figures_.at_first_refusal, utilisation());
    ++figures_.refused_pieces;
    return false;
}

bool StorageModel::insert_blocks(std::uint64_t size) {
    bool all_kept = true;
    std::uint64_t short_of_copies = 0;
    for (std::uint64_t at = 0; at < size && all_kept; at += options_.block_bytes) {
        ++figures_.pieces;
        const auto kept = group(keys_.word(), std::min(options_.block_bytes, size - at), /*all_or_none=*/false);
        all_kept = kept >= majority(options_.copies);
        if (kept == options_.copies) continue;
        ++short_of_copies;
        figures_.at_first_short = std::min(figures_.at_first_short, utilisation());
    }
    if (all_kept) {
        figures_.short_pieces += short_of_copies;
        return true;
    }
    figures_.at_first_refusal = std::min(figures_.at_first_refusal, utilisation());
    ++figures_.refused_pieces;
    take_back(0);
    return false;
}

/// Copies of one piece, as its holders decide one after another. Returns how many there are.
std::size_t StorageModel::group(std::uint64_t key, std::uint64_t size, bool all_or_none) {
    last_key_ = guid_at(key);
    find_holders(key);
    first_copy_ = copies_.size();
    for (const auto holder : holders_) {
        if (accepts_primary(size, free_bytes(holder), options_.thresholds)) {
            keep(holder, holder, size);
        } else if (const auto neighbour = neighbour_for(holder, size)) {
            keep(*neighbour, holder, size);
        } else if (all_or_none) {
            take_back(first_copy_);
            break;
        } else if (size <= free_bytes(holder)) {  // DivertingStore::put(): the thresholds refuse nothing
            keep(holder, holder, size);
        } else if (const auto stranger = stranger_for(size)) {
            keep(*stranger, holder, size);
        }
    }
    return copies_.size() - first_copy_;
}

void StorageModel::find_holders(std::uint64_t key) {
    const auto count = peers_.size();
    auto right = static_cast<std::size_t>(std::ranges::lower_bound(peers_, key, {}, &Peer::position) - peers_.begin());
    right %= count;
    auto left = (right + count - 1) % count;
    holders_.clear();
    while (holders_.size() < options_.copies) {
        const auto to_right = peers_[right].position - key;  // modulo 2^64, both
        const auto to_left = key - peers_[left].position;
        if (to_right < to_left) {
            holders_.push_back(static_cast<std::uint32_t>(right));
            right = (right + 1) % count;
        } else {
            holders_.push_back(static_cast<std::uint32_t>(left));
            left = (left + count - 1) % count;
        }
    }
}

/// Of the holder's leaf set.
std::optional<std::uint32_t> StorageModel::neighbour_for(std::uint32_t holder, std::uint64_t size) {
    if (options_.thresholds.diverted <= 0) return std::nullopt;
    candidates_.clear();
    for (std::size_t step = 1; step <= options_.leaf_set / 2; ++step) {
        add_candidate((holder + step) % peers_.size());
        add_candidate((holder + peers_.size() - step) % peers_.size());
    }
    return choose(size, options_.thresholds);
}

/// Of some anywhere on the ring, where it fits.
std::optional<std::uint32_t> StorageModel::stranger_for(std::uint64_t size) {
    candidates_.clear();
    for (std::size_t i = 0; i < options_.strangers; ++i) add_candidate(keys_.below(peers_.size()));
    return choose(size, kWhateverFits);
}

/// Unless it is a holder, or has a diverted copy of the piece already.
void StorageModel::add_candidate(std::size_t index) {
    const auto peer = static_cast<std::uint32_t>(index);
    const bool has_one = std::ranges::find(holders_, peer) != holders_.end() ||
                         std::any_of(copies_.begin() + static_cast<std::ptrdiff_t>(first_copy_), copies_.end(),
                                     [&](const Copy& copy) { return copy.peer == peer; });
    if (!has_one) candidates_.push_back({peers_[peer].id, free_bytes(peer), {}});
}

std::optional<std::uint32_t> StorageModel::choose(std::uint64_t size, const DiversionThresholds& thresholds) const {
    const auto target = choose_target(candidates_, size, thresholds);
    if (!target) return std::nullopt;
    return static_cast<std::uint32_t>(std::ranges::lower_bound(peers_, *target, {}, &Peer::id) - peers_.begin());
}

void StorageModel::keep(std::uint32_t peer, std::uint32_t holder, std::uint64_t bytes) {
    peers_[peer].used += bytes;
    figures_.used += bytes;
    copies_.push_back({peer, holder, bytes});
}

void StorageModel::take_back(std::size_t from) {
    while (copies_.size() > from) {
        peers_[copies_.back().peer].used -= copies_.back().bytes;
        figures_.used -= copies_.back().bytes;
        copies_.pop_back();
    }
}

StorageFigures offer_files(const StorageOptions& options, Sizes sizes, std::uint64_t files) {
    StorageModel model{options};
    Draw draw{options.seed, 3};
    for (std::uint64_t i = 0; i < files; ++i) (void)model.insert(draw_size(draw, sizes));
    return model.figures();
}

}  // namespace past::test
