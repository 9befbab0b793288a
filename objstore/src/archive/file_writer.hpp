// One file on its way into the target: made under its own name, or beside what is there and then put in its place.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "objstore/archive/restore.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "target_tree.hpp"

namespace objstore::archive {

/// Everything but a directory.
struct TargetFile {
    InodeNumber number = 0;
    std::uint32_t directory = TargetTree::kTop;
    std::string name;
    Attributes attributes;
    std::string link_target;
    std::vector<Node::Stretch> extents;  // without holes, ascending, not overlapping
};

/// What became of it.
enum class Made : std::uint8_t { made, kept, failed };

struct FileResult {
    Made made = Made::failed;
    bool verified = false;
    std::uint64_t bytes = 0;
};

/// The extents as restore may use them: ascending, within the size, not overlapping, holes left out. An error says what
/// is wrong with them: such a file was made by no backup.
[[nodiscard]] base::Result<std::vector<Node::Stretch>> usable_extents(const Node& node);

/// A regular file. Called on the pool, one call at a time.
class FileWriter {
  public:
    FileWriter(TargetTree& tree, TargetFile file, Overwrite overwrite, SharedWarnings& warnings);
    /// An unfinished file is removed.
    ~FileWriter();
    FileWriter(const FileWriter&) = delete;
    FileWriter& operator=(const FileWriter&) = delete;

    /// False: there is nothing to write (kept, or it failed and was warned of).
    bool begin();
    /// False after an error, which was warned of.
    bool write(std::uint64_t offset, base::ByteView bytes);
    void fail(WarningKind kind, const base::Error& error);
    /// Length, owner, attributes, mode, time, and its name.
    FileResult finish();
    /// After finish(): whether `bytes` are on disk there. Reads what was written, not what the name then leads to: its
    /// mode may forbid us to open it.
    bool verify(std::uint64_t offset, base::ByteView bytes);
    [[nodiscard]] const TargetFile& file() const { return file_; }

  private:
    bool keep_existing();

    TargetTree& tree_;
    TargetFile file_;
    Overwrite overwrite_;
    SharedWarnings& warnings_;
    std::string path_;
    DirectoryPtr directory_;
    std::string temporary_;                     // the name it has until finish(), if its own is taken
    std::unique_ptr<base::LocalFile> open_;     // until finish()
    std::unique_ptr<base::LocalFile> written_;  // from then on
    FileResult result_;
    bool failed_ = false;
};

/// A symlink, fifo, socket or device node.
[[nodiscard]] FileResult make_special_file(TargetTree& tree, const TargetFile& file, Overwrite overwrite,
                                           SharedWarnings& warnings);
/// Another name for a file that was made.
[[nodiscard]] FileResult make_hard_link(TargetTree& tree, const TargetFile& name, std::uint32_t from_directory,
                                        const std::string& from_name, Overwrite overwrite, SharedWarnings& warnings);

}  // namespace objstore::archive
