// The store of a machine that joined no network, for all its commands at once: the first process that comes holds it
// and answers the others on the data directory's socket, as a daemon would. When it ends, one of them takes over.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "base/disk.hpp"
#include "base/host/host_runtime.hpp"
#include "base/task_group.hpp"
#include "past/local.hpp"
#include "past/storage.hpp"
#include "session/data_directory.hpp"
#include "session/lone_node.hpp"
#include "session/store_users.hpp"

namespace tools {

/// A call whose holder ends meanwhile is made again of the next one, until its deadline: nothing that was acknowledged
/// is lost, and a write is not made twice. Errc::locked if somebody has the store and does not answer.
class SharedStore final : public past::Storage {
  public:
    /// The runtime outlives it.
    SharedStore(base::host::HostRuntime& runtime, DataDirectory directory, LoneNodeConfig config);
    ~SharedStore() override;

    /// Finds who holds the store, or holds it. What the machine alone has is reachable afterwards. Errors:
    /// Errc::no_node (a network was joined: its node has the store), base::Errc::locked, and those of LoneNode::open().
    base::Task<base::Result<void>> open();
    /// Await before destroying it. Who asked us asks the next holder.
    base::Task<void> close();
    /// True if the store is in this process, and others ask us.
    [[nodiscard]] bool holds() const { return node_ != nullptr; }
    /// No other command used the store at one moment during this call.
    [[nodiscard]] bool only_us() const { return users_ && users_->only_us(); }
    /// For want of what room we can only read what we hold; nothing if it can be written, or another process has it.
    [[nodiscard]] std::optional<base::Error> full() const { return node_ ? node_->full() : std::nullopt; }

    base::Task<base::Result<past::PutOutcome>> put(base::Guid group, past::Tag tag, std::vector<past::Block> blocks,
                                                   past::Wait wait, base::TimePoint deadline) override;
    base::Task<base::Result<base::SharedBytes>> get(base::Guid group, base::Guid id, base::TimePoint deadline) override;
    base::Task<base::Result<std::vector<bool>>> touch(base::Guid group, past::Tag tag, std::vector<base::Guid> ids,
                                                      base::TimePoint deadline) override;
    base::Task<base::Result<void>> remove(past::Reclaim reclaim, base::TimePoint deadline) override;
    base::Task<base::Result<past::TaggedBlocks>> list(past::BlockQuery query, base::Guid after,
                                                      base::TimePoint deadline) override;
    base::Task<base::Result<std::optional<past::Record>>> read_record(base::Guid key,
                                                                      base::TimePoint deadline) override;
    base::Task<base::Result<past::ShownRecord>> read_any_record(base::Guid key, base::TimePoint deadline) override;
    base::Task<base::Result<void>> write_record(base::Guid key, std::uint64_t expected, past::Record next,
                                                base::TimePoint deadline) override;
    base::Task<base::Result<void>> restore_record(base::Guid key, past::Record lost, base::TimePoint deadline) override;

  private:
    /// Another process, which has the store.
    struct Holder;
    template <class T>
    using Call = std::function<base::Task<base::Result<T>>(past::Storage&)>;
    template <class T>
    base::Task<base::Result<T>> ask(Call<T> call, base::TimePoint deadline);
    base::Task<base::Result<void>> find(base::TimePoint give_up);
    base::Task<base::Result<void>> replace(std::shared_ptr<Holder> lost, base::TimePoint give_up);

    base::host::HostRuntime& runtime_;
    const DataDirectory directory_;
    const LoneNodeConfig config_;
    std::unique_ptr<base::Disk> disk_;
    std::optional<StoreUsers> users_;
    std::unique_ptr<LoneNode> node_;  // one of these two, once it is open
    std::shared_ptr<Holder> holder_;
    base::Semaphore finding_;
};

/// Nullopt unless this machine is, or ever was, a member of a network: its name.
[[nodiscard]] base::Result<std::optional<std::string>> joined_network(const DataDirectory& directory);

}  // namespace tools
