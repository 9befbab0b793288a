// A PAST that passes every call on to another; who derives from it changes the calls that it is about.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "past/storage.hpp"

namespace past {

class PassingStorage : public Storage {
  public:
    /// `below` outlives it.
    explicit PassingStorage(Storage& below) : below_{below} {}

    base::Task<base::Result<PutOutcome>> put(base::Guid group, Tag tag, std::vector<Block> blocks, Wait wait,
                                             base::TimePoint deadline) override {
        return below_.put(group, tag, std::move(blocks), wait, deadline);
    }
    base::Task<base::Result<base::SharedBytes>> get(base::Guid group, base::Guid id,
                                                    base::TimePoint deadline) override {
        return below_.get(group, id, deadline);
    }
    base::Task<base::Result<std::vector<bool>>> touch(base::Guid group, Tag tag, std::vector<base::Guid> ids,
                                                      base::TimePoint deadline) override {
        return below_.touch(group, tag, std::move(ids), deadline);
    }
    base::Task<base::Result<void>> remove(Reclaim reclaim, base::TimePoint deadline) override {
        return below_.remove(std::move(reclaim), deadline);
    }
    base::Task<base::Result<TaggedBlocks>> list(BlockQuery query, base::Guid after, base::TimePoint deadline) override {
        return below_.list(query, after, deadline);
    }
    base::Task<base::Result<std::optional<Record>>> read_record(base::Guid key, base::TimePoint deadline) override {
        return below_.read_record(key, deadline);
    }
    base::Task<base::Result<ShownRecord>> read_any_record(base::Guid key, base::TimePoint deadline) override {
        return below_.read_any_record(key, deadline);
    }
    base::Task<base::Result<void>> write_record(base::Guid key, std::uint64_t expected, Record next,
                                                base::TimePoint deadline) override {
        return below_.write_record(key, expected, std::move(next), deadline);
    }
    base::Task<base::Result<void>> restore_record(base::Guid key, Record lost, base::TimePoint deadline) override {
        return below_.restore_record(key, std::move(lost), deadline);
    }

  private:
    Storage& below_;
};

}  // namespace past
