// What a commit does to the forest, and what it must be sure of.
#pragma once

#include <vector>

#include "objstore/volume.hpp"

namespace objstore {

/// Nothing for an item that is none, or none that can be read: an edit leaves it as it is.
[[nodiscard]] std::optional<Snapshot> snapshot_in(const Item& item);

/// Lists one snapshot, once.
class AddSnapshot final : public ForestEditor {
  public:
    /// `stored_since`: the generation of the session that made it.
    AddSnapshot(Snapshot snapshot, std::uint64_t stored_since);

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& writer) override;
    [[nodiscard]] std::uint64_t stored_since() const override { return stored_since_; }

  private:
    Snapshot snapshot_;
    base::Guid id_;
    std::uint64_t stored_since_;
};

/// Takes snapshots off the list.
class ForgetSnapshots final : public ForestEditor {
  public:
    explicit ForgetSnapshots(std::vector<base::Guid> snapshots);

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& writer) override;
    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }
    [[nodiscard]] std::uint64_t forgotten() const { return forgotten_; }

  private:
    std::vector<base::Guid> snapshots_;  // sorted
    std::uint64_t forgotten_ = 0;
};

/// Lists other snapshots in the place of some.
class ReplaceSnapshots final : public ForestEditor {
  public:
    explicit ReplaceSnapshots(std::vector<Replacement> replacements) : replacements_{std::move(replacements)} {}

    base::Task<base::Result<std::optional<ForestEdit>>> edit(Tree forest, BlockWriter& writer) override;
    [[nodiscard]] std::uint64_t stored_since() const override { return UINT64_MAX; }
    [[nodiscard]] std::uint64_t replaced() const { return replaced_; }

  private:
    std::vector<Replacement> replacements_;
    std::uint64_t replaced_ = 0;
};

/// For blocks that a collection may have taken since they were stored or touched: touches all that the edit leads to
/// and the forest does not. Errc::collected if one is gone.
[[nodiscard]] base::Task<base::Result<void>> hold_on_to(base::NodeEnv env, past::Storage& storage, past::Tag tag,
                                                        Tree forest, const ForestEdit& edit);

}  // namespace objstore
