// A PAST that passes every call on; a test changes or watches those that it is about.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "past/storage.hpp"

namespace support {

class PassingStorage : public past::Storage {
  public:
    explicit PassingStorage(past::Storage& below) : below_{below} {}

    base::Task<base::Result<past::PutOutcome>> put(base::Guid group, past::Tag tag, std::vector<past::Block> blocks,
                                                   past::Wait wait, base::TimePoint deadline) override {
        return below_.put(group, tag, std::move(blocks), wait, deadline);
    }
    base::Task<base::Result<base::SharedBytes>> get(base::Guid group, base::Guid id,
                                                    base::TimePoint deadline) override {
        return below_.get(group, id, deadline);
    }
    base::Task<base::Result<std::vector<bool>>> touch(base::Guid group, past::Tag tag, std::vector<base::Guid> ids,
                                                      base::TimePoint deadline) override {
        return below_.touch(group, tag, std::move(ids), deadline);
    }
    base::Task<base::Result<void>> remove(past::Reclaim reclaim, base::TimePoint deadline) override {
        return below_.remove(std::move(reclaim), deadline);
    }
    base::Task<base::Result<past::TaggedBlocks>> list(past::BlockQuery query, base::Guid after,
                                                      base::TimePoint deadline) override {
        return below_.list(query, after, deadline);
    }
    base::Task<base::Result<std::optional<past::Record>>> read_record(base::Guid key,
                                                                      base::TimePoint deadline) override {
        return below_.read_record(key, deadline);
    }
    base::Task<base::Result<past::ShownRecord>> read_any_record(base::Guid key, base::TimePoint deadline) override {
        return below_.read_any_record(key, deadline);
    }
    base::Task<base::Result<void>> write_record(base::Guid key, std::uint64_t expected, past::Record next,
                                                base::TimePoint deadline) override {
        return below_.write_record(key, expected, std::move(next), deadline);
    }
    base::Task<base::Result<void>> restore_record(base::Guid key, past::Record lost,
                                                  base::TimePoint deadline) override {
        return below_.restore_record(key, std::move(lost), deadline);
    }

  private:
    past::Storage& below_;
};

}  // namespace support
