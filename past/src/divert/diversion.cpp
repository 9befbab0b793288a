#include "divert/diversion.hpp"

namespace past {
namespace {

bool is_within(double share, std::uint64_t size, std::uint64_t free) {
    return size <= free && static_cast<double>(size) <= share * static_cast<double>(free);
}

}  // namespace

bool accepts_primary(std::uint64_t size, std::uint64_t free, const DiversionThresholds& thresholds) {
    return is_within(thresholds.primary, size, free);
}

bool accepts_diverted(std::uint64_t size, std::uint64_t free, const DiversionThresholds& thresholds) {
    return is_within(thresholds.diverted, size, free);
}

std::optional<base::NodeId> choose_target(const std::vector<DiversionCandidate>& candidates, std::uint64_t size,
                                          const DiversionThresholds& thresholds, const std::set<std::string>& domains) {
    const auto is_apart = [&](const DiversionCandidate& candidate) {
        return candidate.failure_domain.empty() || !domains.contains(candidate.failure_domain);
    };
    const DiversionCandidate* best = nullptr;
    bool best_is_apart = false;
    for (const auto& candidate : candidates) {
        if (!accepts_diverted(size, candidate.free_bytes, thresholds)) continue;
        const bool apart = is_apart(candidate);
        const bool better =
            best == nullptr || (apart != best_is_apart                     ? apart
                                : candidate.free_bytes != best->free_bytes ? candidate.free_bytes > best->free_bytes
                                                                           : candidate.node < best->node);
        if (!better) continue;
        best = &candidate;
        best_is_apart = apart;
    }
    if (best == nullptr) return std::nullopt;
    return best->node;
}

}  // namespace past
