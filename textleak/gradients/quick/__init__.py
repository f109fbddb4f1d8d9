"""Operations written so that their second derivatives, or their products on a CPU, are quick."""
