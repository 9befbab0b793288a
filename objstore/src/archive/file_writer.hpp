// One file on its way into the target: looked for there, else made under a name of its own and then put in its place.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "objstore/archive/restore.hpp"
#include "objstore/archive/snapshot_reader.hpp"
#include "objstore/keys.hpp"
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
enum class Made : std::uint8_t {
    failed,
    made,
    same,  // it was there already, and is what the snapshot has
    kept,  // something is there, and the user wants that kept
};

struct FileResult {
    Made made = Made::failed;
    bool verified = false;
    std::uint64_t bytes = 0;  // written
};

/// How the files of one restore are made. What it refers to outlives it.
struct Making {
    TargetTree& tree;
    const EpochKeys& keys;
    SharedWarnings& warnings;
    Overwrite overwrite = Overwrite::always;
    bool verify = false;
};

/// The extents as restore may use them: ascending, within the size, not overlapping, holes left out. An error says what
/// is wrong with them: such a file was made by no backup.
[[nodiscard]] base::Result<std::vector<Node::Stretch>> usable_extents(const Node& node);

/// A regular file. Called on the pool, one call at a time: look(); of a candidate, has() for each extent and either
/// take() or go on; open(); of an unfinished one, has(); start(), write(), finish(), verify().
class FileWriter {
  public:
    enum class Found : std::uint8_t {
        done,       ///< nothing is to be written: it stays as it is, or it failed
        candidate,  ///< length and attributes are those of the snapshot: has() tells whether the content is
        nothing,    ///< it is to be written
    };

    FileWriter(const Making& making, TargetFile file);
    /// What has begun and did not fail stays under its temporary name, for the next restore.
    ~FileWriter();
    FileWriter(const FileWriter&) = delete;
    FileWriter& operator=(const FileWriter&) = delete;

    Found look();
    /// Whether extent `index`, and the hole before it, are on disk as the snapshot has them; of a candidate also the
    /// hole at the end (`index` = their number). By its hash: nothing is fetched. In ascending order.
    bool has(std::size_t index);
    /// The candidate is the file.
    FileResult take();

    /// True: an earlier restore left some of it behind. False also after an error, which was warned of.
    bool open();
    /// The first `extents` of them are there; the rest is written anew.
    void start(std::size_t extents);
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
    bool looks_the_same(const base::FileStat& there);
    bool holds_zeros(std::uint64_t begin, std::uint64_t end);
    [[nodiscard]] std::uint64_t end_of(std::size_t extents) const;
    [[nodiscard]] std::string path() const { return making_.tree.path(file_.directory, file_.name); }

    Making making_;
    TargetFile file_;
    std::string temporary_;  // the name it has until finish()
    DirectoryPtr directory_;
    std::unique_ptr<base::LocalFile> there_;    // a candidate
    std::unique_ptr<base::LocalFile> open_;     // until finish()
    std::unique_ptr<base::LocalFile> written_;  // from then on
    std::vector<base::DataRange> data_;         // of the one that has() is asked about
    bool data_known_ = false;
    FileResult result_;
    bool failed_ = false;
};

/// A symlink, fifo, socket or device node.
[[nodiscard]] FileResult make_special_file(const Making& making, const TargetFile& file);
/// What has the name of `file` stays if the user wants it so, or it is unchanged (Overwrite).
[[nodiscard]] std::optional<FileResult> keep_existing(const Making& making, const TargetFile& file);
/// Another name for a file that was made; what has that name gives way. Nothing if it cannot be another name (a file
/// has as many as it can have, the file system knows no links): nothing was done or warned of.
[[nodiscard]] std::optional<FileResult> make_hard_link(const Making& making, const TargetFile& name,
                                                       std::uint32_t from_directory, const std::string& from_name);

/// Whether a restore that was cut short leaves files of such a name.
[[nodiscard]] bool is_temporary_name(std::string_view name);

}  // namespace objstore::archive
