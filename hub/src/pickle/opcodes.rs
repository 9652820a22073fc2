//! The instructions of pickles: the binary ones of protocols 2 to 5 that data are made of.
//!
//! Left out are the textual ones of protocol 0 (`I`, `L`, `S`, `V`, `p`, `g`, …), which `torch.save` never writes, and
//! those that make objects of arbitrary classes or refer to registries and buffers outside of the pickle (`INST`, `OBJ`,
//! `NEWOBJ_EX`, `EXT1`, `NEXT_BUFFER`, …).

/// What follows the byte of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    /// Nothing.
    None,
    /// An unsigned number of so many bytes, low byte first.
    Unsigned(usize),
    /// A signed number of four bytes, low byte first.
    Signed,
    /// A floating point number of eight bytes, high byte first.
    Float,
    /// A length, which is an unsigned number of so many bytes, and as many bytes.
    Bytes(usize),
    /// Two texts, each ended by a new line.
    Lines,
}

macro_rules! opcodes {
    ($($byte:literal $name:ident $operand:expr, $doc:literal;)*) => {
        /// An instruction.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Opcode { $(#[doc = $doc] $name,)* }

        impl Opcode {
            /// The instruction of this byte.
            pub(crate) fn from_byte(byte: u8) -> Option<Opcode> {
                match byte {
                    $($byte => Some(Opcode::$name),)*
                    _ => None,
                }
            }

            /// The byte of this instruction.
            pub(crate) const fn byte(self) -> u8 {
                match self { $(Opcode::$name => $byte,)* }
            }

            /// What follows the byte.
            pub(crate) fn operand(self) -> Operand {
                use Operand::*;
                match self { $(Opcode::$name => $operand,)* }
            }
        }
    };
}

opcodes! {
    0x80 Proto            Unsigned(1), "Says the protocol.";
    0x95 Frame            Unsigned(8), "Says how many bytes to read ahead.";
    b'.' Stop             None,        "Ends the pickle; its value is on the stack.";

    b'(' Mark             None,        "Puts a mark on the stack.";
    b'0' Pop              None,        "Drops a value.";
    b'1' PopMark          None,        "Drops the values down to the mark.";
    b'2' Dup              None,        "Repeats a value.";

    b'q' BinPut           Unsigned(1), "Keeps the value on the stack in the memo.";
    b'r' LongBinPut       Unsigned(4), "Likewise.";
    0x94 Memoize          None,        "Likewise, under the next number.";
    b'h' BinGet           Unsigned(1), "Puts a value of the memo on the stack.";
    b'j' LongBinGet       Unsigned(4), "Likewise.";

    b'N' None             None,        "`None`.";
    0x88 NewTrue          None,        "`True`.";
    0x89 NewFalse         None,        "`False`.";
    b'J' BinInt           Signed,      "An integer.";
    b'K' BinInt1          Unsigned(1), "An integer.";
    b'M' BinInt2          Unsigned(2), "An integer.";
    0x8a Long1            Bytes(1),    "An integer of any size in two's complement, low byte first.";
    0x8b Long4            Bytes(4),    "Likewise.";
    b'G' BinFloat         Float,       "A floating point number.";

    b'X' BinUnicode       Bytes(4),    "A text in UTF-8.";
    0x8c ShortBinUnicode  Bytes(1),    "Likewise.";
    0x8d BinUnicode8      Bytes(8),    "Likewise.";
    b'T' BinString        Bytes(4),    "A text of Python 2.";
    b'U' ShortBinString   Bytes(1),    "Likewise.";
    b'B' BinBytes         Bytes(4),    "Bytes.";
    b'C' ShortBinBytes    Bytes(1),    "Likewise.";
    0x8e BinBytes8        Bytes(8),    "Likewise.";
    0x96 ByteArray8       Bytes(8),    "Likewise.";

    b']' EmptyList        None,        "A list without items.";
    b'l' List             None,        "A list of the values down to the mark.";
    b'a' Append           None,        "Adds a value to a list.";
    b'e' Appends          None,        "Adds the values down to the mark to a list.";
    b')' EmptyTuple       None,        "A tuple without items.";
    b't' Tuple            None,        "A tuple of the values down to the mark.";
    0x85 Tuple1           None,        "A tuple of one value.";
    0x86 Tuple2           None,        "A tuple of two values.";
    0x87 Tuple3           None,        "A tuple of three values.";
    b'}' EmptyDict        None,        "A dictionary without entries.";
    b'd' Dict             None,        "A dictionary of the keys and values down to the mark.";
    b's' SetItem          None,        "Adds a key and a value to a dictionary.";
    b'u' SetItems         None,        "Adds the keys and values down to the mark to a dictionary.";

    b'c' Global           Lines,       "A function or class by module and name.";
    0x93 StackGlobal      None,        "Likewise, named by two texts on the stack.";
    b'R' Reduce           None,        "Calls a function with a tuple of arguments.";
    0x81 NewObj           None,        "Makes an object of a class with a tuple of arguments.";
    b'b' Build            None,        "Gives an object its attributes.";
    b'Q' BinPersId        None,        "What the file has under the name on the stack: a storage.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_instructions_belong_together() {
        let known: Vec<Opcode> = (0..=255).filter_map(Opcode::from_byte).collect();
        assert_eq!(known.len(), 49);
        assert!(known.iter().all(|&op| Opcode::from_byte(op.byte()) == Some(op)));
        // INST, OBJ, NEWOBJ_EX, EXT1: instructions that name classes in ways that no list covers.
        assert!(
            [b'i', b'o', 0x92, 0x82]
                .iter()
                .all(|&byte| Opcode::from_byte(byte).is_none())
        );
    }
}
