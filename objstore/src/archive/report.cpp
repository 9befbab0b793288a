#include "objstore/archive/report.hpp"

#include "objstore/error.hpp"
#include "objstore/records.hpp"

namespace objstore::archive {

const char* describe(WarningKind kind) {
    switch (kind) {
        case WarningKind::unreadable: return "could not be read";
        case WarningKind::vanished: return "was removed while the backup ran";
        case WarningKind::changed: return "changed while it was read";
        case WarningKind::attributes: return "extended attributes were left out";
        case WarningKind::owner: return "the owner could not be set";
        case WarningKind::metadata: return "mode or time could not be set";
        case WarningKind::unprivileged: return "needs privileges and was left out";
        case WarningKind::refused: return "is not a name or file that can be restored, and was left out";
        case WarningKind::unwritable: return "could not be made";
        case WarningKind::unlinked: return "is a copy: the target takes no (more) hard links to the file";
        case WarningKind::damaged: return "is damaged in the archive";
        case WarningKind::differs: return "differs from the snapshot";
        case WarningKind::skipped: return "exists and was kept";
    }
    return "";
}

base::Error too_deep() {
    return {base::Errc::unsupported, "deeper than " + std::to_string(kMaxDepth) + " directories"};
}

bool named_one_by_one(WarningKind kind) {
    switch (kind) {
        case WarningKind::attributes:
        case WarningKind::owner:
        case WarningKind::metadata:
        case WarningKind::unprivileged:
        case WarningKind::unlinked:
        case WarningKind::skipped: return false;
        default: return true;
    }
}

void Warnings::add(WarningKind kind, std::string path, base::Error error) {
    auto& entry = kinds_[kind];
    ++entry.count;
    if (entry.first.size() < kNamed) entry.first.push_back({std::move(path), std::move(error)});
}

std::uint64_t Warnings::count() const {
    std::uint64_t total = 0;
    for (const auto& [kind, entry] : kinds_) total += entry.count;
    return total;
}

std::uint64_t Warnings::count(WarningKind kind) const {
    const auto found = kinds_.find(kind);
    return found == kinds_.end() ? 0 : found->second.count;
}

base::Result<void> leave_out_damaged(Warnings& warnings, std::string path, const base::Error& error) {
    if (!is_isolated_damage(error.code())) return error;
    warnings.add(WarningKind::damaged, std::move(path), error);
    return base::ok();
}

}  // namespace objstore::archive
