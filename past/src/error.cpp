#include "past/error.hpp"

#include <string>

#include "base/error.hpp"

namespace past {
namespace {

class Category final : public std::error_category {
  public:
    const char* name() const noexcept override { return "past"; }
    std::string message(int value) const override {
        switch (static_cast<Errc>(value)) {
            case Errc::block_not_found: return "no holder has the block";
            case Errc::holders_unreachable: return "not enough holders answer";
            case Errc::too_few_copies: return "stored on too few nodes";
            case Errc::below_min_copies: return "fewer nodes are up than the network's min-copies";
            case Errc::no_space: return "no space left on the storage nodes";
            case Errc::corrupt_block: return "the block is damaged";
            case Errc::too_large: return "larger than a block may be";
            case Errc::conflict: return "somebody else changed it meanwhile";
            case Errc::bad_record: return "the record is not signed by its owner";
            case Errc::not_owner: return "not signed by the owner";
            case Errc::kept_by_others: return "other nodes keep it, and their majority decides";
            case Errc::too_many_tags: return "a block is kept for too many volumes already";
        }
        return "unknown error " + std::to_string(value);
    }
    std::error_condition default_error_condition(int value) const noexcept override {
        switch (static_cast<Errc>(value)) {
            case Errc::block_not_found: return std::errc::io_error;  // ENOENT comes only from a verified directory
            case Errc::holders_unreachable: return std::errc::io_error;
            case Errc::too_few_copies: return std::errc::io_error;
            case Errc::below_min_copies: return std::errc::io_error;
            case Errc::no_space: return std::errc::no_space_on_device;
            case Errc::corrupt_block: return std::errc::io_error;
            case Errc::too_large: return std::errc::file_too_large;
            case Errc::conflict: return std::errc::resource_unavailable_try_again;
            case Errc::bad_record: return std::errc::io_error;
            case Errc::not_owner: return std::errc::operation_not_permitted;
            case Errc::kept_by_others: return std::errc::operation_not_permitted;
            case Errc::too_many_tags: return std::errc::too_many_links;
        }
        return {value, *this};
    }
};

const bool registered = (base::register_error_category(error_category()), true);

}  // namespace

const std::error_category& error_category() noexcept {
    static const Category category;
    return category;
}

}  // namespace past
