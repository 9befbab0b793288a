// The verbs of `pelago archive`, a file each.
#pragma once

#include <string>
#include <vector>

#include "cli/verbs.hpp"
#include "objstore/snapshot.hpp"
#include "volume/access.hpp"

namespace tools {

void add_backup(Verbs& verbs, CLI::App& archive);
void add_restore(Verbs& verbs, CLI::App& archive);
void add_snapshots(Verbs& verbs, CLI::App& archive);
void add_ls(Verbs& verbs, CLI::App& archive);
void add_diff(Verbs& verbs, CLI::App& archive);
void add_dump(Verbs& verbs, CLI::App& archive);
void add_find(Verbs& verbs, CLI::App& archive);
void add_forget(Verbs& verbs, CLI::App& archive);
void add_stats(Verbs& verbs, CLI::App& archive);
void add_tag(Verbs& verbs, CLI::App& archive);
void add_rewrite(Verbs& verbs, CLI::App& archive);
void add_repair(Verbs& verbs, CLI::App& archive);
void add_prune(Verbs& verbs, CLI::App& archive);
void add_copy(Verbs& verbs, CLI::App& archive);
void add_check(Verbs& verbs, CLI::App& archive);
void add_mount(Verbs& verbs, CLI::App& archive);

/// --host, --tag, --path: which snapshots "latest" and `snapshots` mean.
struct FilterOptions {
    objstore::SnapshotFilter filter;
    void add_to(CLI::App& verb);
};

/// The snapshot that the command line names. `what` could not be done without it, and names it ("cannot list
/// 'latest'").
[[nodiscard]] base::Result<objstore::Snapshot> choose_snapshot(const VolumeAccess& access, std::string_view name,
                                                               const FilterOptions& options, const std::string& what);

/// Those that the command line names, or, where it names none, all that match, the oldest first. Each once.
[[nodiscard]] base::Result<std::vector<objstore::Snapshot>> choose_snapshots(const VolumeAccess& access,
                                                                             const std::vector<std::string>& names,
                                                                             const FilterOptions& options,
                                                                             const std::string& what);

/// "a,b" and "--tag a --tag b" are the same two tags. Sorted, no duplicates.
[[nodiscard]] std::vector<std::string> split_tags(const std::vector<std::string>& given);

}  // namespace tools
