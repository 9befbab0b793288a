// The block store of a node: an append-only log of segments, an index in memory, and a small log of later changes.
//
// Bytes: docs/formats/store.md. Why a log and not a library: docs/decisions/block-store.md.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/env.hpp"
#include "past/block_store.hpp"

namespace past {

class SegmentStore final : public BlockStore {
  public:
    /// Bugs that a test plants to see that its harness finds them. All off outside tests.
    struct Testing {
        bool skip_segment_sync = false;    ///< blocks are acknowledged without a sync
        bool skip_state_sync = false;      ///< the same for tags, deletes and records
        bool skip_directory_sync = false;  ///< files are synced, their names are not
        bool skip_read_check = false;      ///< get() does not hash what it read
    };
    struct Config {
        std::string directory = "blocks";     ///< below the node's own; its parent must exist
        std::uint64_t capacity_bytes = 0;     ///< 0: what the device has room for
        std::uint64_t reserve_bytes = kAuto;  ///< default: the greater of 64 MiB and 5 %, at most half
        std::uint64_t segment_bytes = 256U << 20U;
        std::uint64_t group_bytes = 8U << 20U;          ///< puts that share a sync, together
        std::uint64_t state_ahead_bytes = 1U << 20U;    ///< of the log, written in advance
        std::uint64_t segment_ahead_bytes = 1U << 20U;  ///< of a segment, behind a small put that did not fit there
        std::uint64_t checkpoint_bytes = 4U << 20U;     ///< of the log, before its state is written anew
        std::uint64_t max_index_bytes = 1U << 30U;      ///< of memory, about 17 million blocks; then puts are refused
        std::size_t queue_bytes = 64U << 20U;           ///< payloads waiting; above it put() waits
        std::size_t open_files = 128;                   ///< segments open for reading, at most
        bool read_only = false;                         ///< nothing is written; what changes something is refused
        Testing testing;

        static constexpr std::uint64_t kAuto = ~std::uint64_t{0};
    };
    /// What open() met and get() found. Logged too; nothing needs to be done about it.
    struct Damage {
        std::uint64_t torn_bytes = 0;           ///< unfinished writes at the end of files, cut
        std::uint64_t skipped_bytes = 0;        ///< in the middle of files: what they held is lost here
        std::uint64_t corrupt_blocks = 0;       ///< dropped because their bytes did not match
        std::uint64_t unreadable_segments = 0;  ///< left alone; their blocks are not held until the device reads them
        std::uint64_t index_files = 0;          ///< missing or unusable, made again from the segment
        bool state_lost = false;  ///< operations were lost: tags were taken at their newest generation, and
                                  ///< records may be older than acknowledged
    };

    /// Makes the store if it is not there (read_only: base::Errc::not_found). Errors: base::Errc::locked (the detail
    /// names the directory), unsupported (made by a later version; untouched), read_only, denied, io_failed, corrupt.
    static base::Task<base::Result<std::unique_ptr<SegmentStore>>> open(base::NodeEnv env, Config config);
    /// Whoever waits in a call gets base::Errc::stopped. The directory stays locked until a job on Workers that may be
    /// under way has ended: await close() first where the same process opens it again.
    ~SegmentStore() override;
    /// Room that dropped blocks left is given back behind the calls that dropped them, by writing what lives beside it
    /// elsewhere. Resumes when that is done as far as it is worth it, or as there is room for it.
    base::Task<void> give_back();
    /// Lets what is under way end, background work too; later calls get base::Errc::stopped.
    base::Task<void> close();

    base::Task<base::Result<void>> put(base::Guid group, Tag tag, std::vector<Block> blocks) override;
    base::Task<base::Result<base::SharedBytes>> get(base::Guid id) override;
    base::Task<base::Result<std::vector<bool>>> touch(Tag tag, std::vector<base::Guid> ids) override;
    base::Task<base::Result<std::uint64_t>> untag(Tag tag, std::vector<base::Guid> ids) override;
    base::Task<base::Result<void>> discard(std::vector<base::Guid> ids) override;
    base::Task<base::Result<void>> forget_lost(std::vector<base::Guid> ids) override;

    [[nodiscard]] bool has(const base::Guid& id) const override;
    [[nodiscard]] std::uint32_t length(const base::Guid& id) const override;
    [[nodiscard]] std::vector<Tag> tags(const base::Guid& id) const override;
    [[nodiscard]] std::vector<GroupSummary> groups() const override;
    [[nodiscard]] GroupSummary summary(const base::Guid& group) const override;
    [[nodiscard]] std::vector<base::Guid> list(const base::Guid& group, const base::Guid& after,
                                               std::size_t limit) const override;
    [[nodiscard]] std::vector<LostBlock> lost() const override;
    [[nodiscard]] StoreUsage usage() const override;

    base::Task<base::Result<void>> put_record(base::Guid key, base::Bytes value) override;
    [[nodiscard]] std::optional<base::Bytes> record(const base::Guid& key) const override;
    [[nodiscard]] std::vector<base::Guid> record_keys() const override;

    [[nodiscard]] const Damage& damage() const;

  private:
    class Core;
    explicit SegmentStore(std::shared_ptr<Core> core);
    std::shared_ptr<Core> core_;
};

}  // namespace past
